"""Many small drawings with captions, two towers that know nothing, and the same towers tuned on the drawings."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from sentence_transformers import SentenceTransformer
from tiny_images import SIZE, write_captions
from tiny_towers import write_towers
from transformers import AutoConfig, AutoModel

from adaptors.finetuning.card import describe_tuning, trained_on
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.rounds import train_rounds
from adaptors.finetuning.saved import Tuned, save_tuned
from adaptors.rows.hard_negatives import candidate_texts
from adaptors.rows.load import load_tuning_data
from probe.data.dataset import Dataset
from probe.data.images import ImageFile, open_image
from probe.metrics.vectors import Embeddings

__all__ = ["LEARNING", "UNSEEN", "DrawnPairs", "draw_pairs", "embed_sides", "make_pairs", "recall_at_1", "tune_on"]

# Combinations that are drawn for the split test, once each, and for no other.
UNSEEN = 24
_COPIES = 4
_SHAPES = ("circle", "square", "triangle", "cross")
_POSITIONS = {"top left": (1, 1), "top right": (17, 1), "bottom left": (1, 17), "bottom right": (17, 17)}
_COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 160, 40),
    "blue": (30, 60, 220),
    "yellow": (240, 220, 40),
    "black": (10, 10, 10),
    "purple": (140, 30, 160),
    "orange": (240, 130, 20),
    "grey": (140, 140, 140),
    "pink": (250, 150, 190),
    "cyan": (60, 210, 220),
    "brown": (120, 70, 30),
}
_WIDTH = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}

LEARNING = TuneOptions(
    Goal("alignment-anisotropy", settings=LossOptions(temperature=0.1)),
    schedule=Schedule(epochs=20, batch_size=64, lr=2e-3),
    hold_out=0.0,
)


@dataclass(frozen=True)
class DrawnPairs:
    """Drawings, and towers before and after they were tuned on them; shared, so never written to.

    Attributes:
        data: Folder of drawings: split `train`, and `test` of combinations of words that it lacks.
        base: Folder of towers as transformers initialises them.
        tuned: Folder of the same towers, tuned on `train`.
    """

    data: Path
    base: Path
    tuned: Path


def make_pairs(folder: Path) -> DrawnPairs:
    """Draw, make towers, tune them and save them; takes a quarter of a minute."""
    data, base = draw_pairs(folder / "drawn"), _write_blank(folder / "clip")
    (folder / "scratch").mkdir()
    student = open_trainable(str(base), folder / "scratch")
    return DrawnPairs(data, base, tune_on(student, data, LEARNING, folder / "clip-tuned"))


def tune_on(student: TrainableEncoder, data: Path, options: TuneOptions, out: Path) -> Path:
    """Tune an encoder on a folder of drawings and save it."""
    rows = load_tuning_data(str(data))
    rounds = train_rounds(student, rows, candidate_texts(rows), options=options)
    about = Tuned(student, trained_on(rows), "clip", describe_tuning(rows, options, rounds))
    return save_tuned(about, out, False, check=lambda folder: None)


def draw_pairs(folder: Path, said: Mapping[str, str] | None = None, copies: int = _COPIES) -> Path:
    """Draw every combination of shape, colour and place: some once, for `test`, the others differently each time.

    Args:
        folder: Folder to make.
        said: Words that the captions have for others.
        copies: Drawings of a combination that is trained on.
    """
    (folder / "images").mkdir(parents=True)
    dice, lines = random.Random(0), []
    every = list(product(_SHAPES, _COLOURS, _POSITIONS))
    dice.shuffle(every)
    for rank, (shape, colour, place) in enumerate(every):
        split, count = ("test", 1) if rank < UNSEEN else ("train", copies)
        words = f"a {colour} {shape} at the {place}".split()
        caption = " ".join((said or {}).get(word, word) for word in words)
        for _ in range(count):
            name = f"images/{len(lines)}.png"
            _draw(shape, colour, place, dice).save(folder / name)
            lines.append({"image": name, "caption": caption, "split": split})
    return write_captions(folder, lines)


def _draw(shape: str, colour: str, place: str, dice: random.Random) -> Image.Image:
    image = Image.new("RGB", (SIZE, SIZE), "white")
    pen, ink, width = ImageDraw.Draw(image), _COLOURS[colour], dice.randint(10, 13)
    left, top = (edge + dice.randint(0, 13 - width) + dice.randint(-1, 1) for edge in _POSITIONS[place])
    right, bottom, third = left + width, top + width, width // 3
    if shape == "circle":
        pen.ellipse((left, top, right, bottom), ink)
    elif shape == "square":
        pen.rectangle((left, top, right, bottom), ink)
    elif shape == "triangle":
        pen.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], ink)
    else:
        pen.rectangle((left + third, top, right - third, bottom), ink)
        pen.rectangle((left, top + third, right, bottom - third), ink)
    return image


def _write_blank(folder: Path) -> Path:
    """Write towers as transformers initialises them: those of `write_towers` are drawn too wildly to learn."""
    write_towers(folder, "clip", vision=_WIDTH, text=_WIDTH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def embed_sides(folder: Path, dataset: Dataset) -> tuple[Embeddings, Embeddings]:
    """Return the queries' and the documents' vectors, as plain sentence-transformers gives them."""
    model = SentenceTransformer(str(folder), device="cpu")
    sides = ([text for _, text in side] for side in (dataset.queries, dataset.documents))
    queries, documents = (
        model.encode([open_image(text) if isinstance(text, ImageFile) else text for text in texts]) for texts in sides
    )
    return queries, documents


def recall_at_1(sides: tuple[Embeddings, Embeddings], dataset: Dataset) -> float:
    """Return for how many queries the document of greatest cosine is the relevant one."""
    queries, documents = sides
    names, found = [name for name, _ in dataset.documents], 0
    for (query, _), vector in zip(dataset.queries, queries, strict=True):
        cosines = documents @ vector / np.linalg.norm(documents, axis=1)
        found += dataset.qrels[query].get(names[int(cosines.argmax())], 0) > 0
    return found / len(queries)
