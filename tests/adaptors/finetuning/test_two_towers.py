"""A two-tower model that is trained: what learns in it, what it reads, and what its losses are of."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_images import draw_shapes, write_captions
from tiny_towers import TOWER_KINDS, write_towers
from tiny_tuning import QUICK, changed, spy_steps, weights

from adaptors.finetuning import rounds as tuning
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.evaluator import hold_out
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal
from adaptors.finetuning.parameters import Scope, choose_weights
from adaptors.finetuning.rounds import train_rounds
from adaptors.finetuning.trainer import TuningRun
from adaptors.finetuning.two_towers import PairedModel
from adaptors.rows.hard_negatives import MineOptions, candidate_texts
from adaptors.rows.load import TuningData, load_tuning_data
from adaptors.rows.rows import Pairwise
from probe.encoding.opening import open_reader
from probe.errors import CallError
from probe.metrics.vectors import Embeddings
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset

OPTIONS = LoadOptions(dtype="float32", device="cpu")
LONGEST = "a red circle at the top left and a small blue square at the bottom right corner of the drawing"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that students of both kinds are made like."""
    root, found = tmp_path_factory.mktemp("towers"), {}
    for kind in TOWER_KINDS:
        (root / f"{kind}-base").mkdir()
        found[kind] = open_trainable(str(write_towers(root / kind, kind)), root / f"{kind}-base").folder
    return found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen drawings to train on."""
    return draw_shapes(tmp_path_factory.mktemp("drawn") / "shapes", 32)


def opened(folder: Path) -> TrainableEncoder:
    return open_trainable(str(folder), Path())


def trained(student: TrainableEncoder) -> set[str]:
    return {name for name, p in student.model.named_parameters() if p.requires_grad}


def linear_maps(student: TrainableEncoder, tower: str) -> set[str]:
    """Return the weights of the linear maps in a tower's blocks, by the names that transformers gives them."""
    maps = [name for name, module in student.model.named_modules() if isinstance(module, torch.nn.Linear)]
    return {f"{name}.weight" for name in maps if f".{tower}_model.encoder.layers." in name}


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_both_towers_learn_and_the_scale_of_the_logits_does_not(bases: dict[str, Path], kind: str) -> None:
    student = opened(bases[kind])
    assert student.is_paired
    assert [(tower.name, tower.stack.depth) for tower in student.towers] == [("image", 3), ("text", 2)]
    factors = choose_weights(student, Scope()).factors
    names = {name for name, _ in student.model.named_parameters()}
    scales = {"logit_scale", "logit_bias"} if kind == "siglip" else {"logit_scale"}
    assert {name.rpartition(".")[2] for name in names - trained(student)} == scales
    assert set(factors) == set(trained(student))


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_a_projection_learns_as_fast_as_the_last_block_and_the_embeddings_slowest(
    bases: dict[str, Path], kind: str
) -> None:
    student = opened(bases[kind])
    chosen = choose_weights(student, Scope(layer_decay=0.5))
    factors = {name.partition("model.")[2]: factor for name, factor in chosen.factors.items()}
    ends = {
        "clip": ("visual_projection.weight", "text_projection.weight"),
        "siglip": ("vision_model.head.probe", "text_model.head.weight"),
    }
    assert [factors[name] for name in ends[kind]] == [1, 1]
    assert factors["vision_model.post_layernorm.weight"] == factors["vision_model.encoder.layers.2.mlp.fc1.bias"] == 1
    assert factors["vision_model.embeddings.patch_embedding.weight"] == 0.5**3
    assert factors["text_model.embeddings.token_embedding.weight"] == 0.5**2


@pytest.mark.parametrize(
    ("scope", "towers", "is_whole"),
    [
        (Scope(), ("vision", "text"), True),
        (Scope(tower="image"), ("vision",), True),
        (Scope(tower="text"), ("text",), True),
        (Scope(lora=2), ("vision", "text"), False),
        (Scope(lora=2, tower="text"), ("text",), False),
    ],
)
def test_only_what_is_chosen_changes(
    bases: dict[str, Path], drawn: Path, scope: Scope, towers: tuple[str, ...], is_whole: bool
) -> None:
    student = opened(bases["clip"])
    before, maps = weights(student), set().union(*(linear_maps(student, tower) for tower in towers))
    train_rounds(student, load_tuning_data(str(drawn)), (), options=replace(QUICK, scope=scope))
    found = changed(student, before)
    # A bias of attention's keys changes nothing, so nothing but decay would move it, and biases do not decay.
    whole = {
        name
        for name in before
        if any(f".{tower}_model." in name or f".{_projection(tower)}." in name for tower in towers)
        and not name.endswith(("k_proj.bias", "position_ids"))
    }
    assert found - {name for name in before if name.endswith("k_proj.bias")} == (whole if is_whole else maps)


def _projection(tower: str) -> str:
    return "visual_projection" if tower == "vision" else "text_projection"


def test_a_tower_is_chosen_of_two_only(
    bases: dict[str, Path], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(CallError, match="--tower video: expected image or text"):
        choose_weights(opened(bases["clip"]), Scope(tower="video"))
    with pytest.raises(CallError, match="is not a two-tower model"):
        choose_weights(open_trainable(str(tiny_folder("bert")), tmp_path), Scope(tower="image"))
    with pytest.raises(CallError, match=r"--last-blocks 3 is out of range: .* has 2 blocks"):
        choose_weights(opened(bases["clip"]), Scope(tower="text", last_blocks=3))


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_training_sees_the_pixels_and_the_tokens_that_probing_sees(
    bases: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    Image.linear_gradient("L").resize((40, 24)).save(tmp_path / "images" / "grey.png")
    clear = Image.new("RGBA", (30, 50), (200, 0, 0, 90))
    clear.putpixel((3, 4), (0, 0, 250, 255))
    clear.save(tmp_path / "images" / "clear.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.radial_gradient("L").crop((0, 0, 90, 40)).save(tmp_path / "images" / "turned.jpg", exif=turned)
    names = ("grey.png", "clear.png", "turned.jpg")
    write_captions(tmp_path, [{"image": f"images/{name}", "caption": name} for name in names])
    images = [image for _, image in load_dataset(str(tmp_path)).documents]
    student, texts = opened(bases[kind]), ["a", "a red circle at the top left", LONGEST]
    model = student.model
    assert isinstance(model, PairedModel)
    model.know(images)
    for side, given, key in (("image", images, "pixel_values"), ("text", texts, "input_ids")):
        reader = open_reader(f"{bases[kind].parent / kind}@{side}", OPTIONS)
        for one in given:
            # Data sets and miners hand plain strings on.
            seen = model.preprocess([str(one)])
            (batch,) = reader.prepare([one], "").batches
            read = batch.open() if side == "image" else batch
            assert torch.equal(seen[key], read.inputs(torch.device("cpu"))[key])


def _cosines(left: Embeddings, right: Embeddings) -> list[list[float]]:
    def cosine(a: Sequence[float], b: Sequence[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    return [[cosine(a, b) for b in right.astype(np.float64).tolist()] for a in left.astype(np.float64).tolist()]


def _spread(scores: list[list[float]], t: float) -> float:
    others = [math.exp(s / t) for i, row in enumerate(scores) for j, s in enumerate(row) if i != j]
    return math.log(sum(others) / len(others))


def _alignment_anisotropy(queries: Embeddings, documents: Embeddings, t: float) -> float:
    across = _cosines(queries, documents)
    pull = sum((1 - across[i][i]) / t for i in range(len(across))) / len(across)
    same = (_spread(_cosines(queries, queries), t) + _spread(_cosines(documents, documents), t)) / 2
    return pull + same + _spread(across, t)


def _infonce(queries: Embeddings, documents: Embeddings, t: float) -> float:
    rows = _cosines(queries, documents)
    losses = [math.log(sum(math.exp(s / t) for s in row)) - row[i] / t for i, row in enumerate(rows)]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("kind", TOWER_KINDS)
@pytest.mark.parametrize("way", ["", ":captions"])
@pytest.mark.parametrize("loss", ["alignment-anisotropy", "infonce", "CachedMultipleNegativesRankingLoss"])
def test_a_loss_is_of_the_vectors_that_the_towers_give(
    bases: dict[str, Path], drawn: Path, monkeypatch: pytest.MonkeyPatch, loss: str, way: str, kind: str
) -> None:
    student, data = opened(bases[kind]), load_tuning_data(f"{drawn}{way}")
    pairs = [row for row in data.rows if isinstance(row, Pairwise)]
    queries = student.model.encode_query([pair.query for pair in pairs])
    documents = student.model.encode_document([pair.positive for pair in pairs])
    steps, settings = (
        spy_steps(monkeypatch),
        LossOptions(0.5, mini_batch=3 if loss == "CachedMultipleNegativesRankingLoss" else None),
    )
    # One step of all rows.
    options = replace(
        QUICK, goal=Goal(loss, settings=settings), schedule=replace(QUICK.schedule, batch_size=len(pairs))
    )
    train_rounds(student, data, (), options=options)
    by_hand = _alignment_anisotropy if loss == "alignment-anisotropy" else _infonce
    assert steps == [pytest.approx(by_hand(queries, documents, 0.5), abs=1e-4)]


def test_held_out_queries_choose_the_epoch_in_either_direction(bases: dict[str, Path], drawn: Path) -> None:
    for way in ("", ":captions"):
        student, data = opened(bases["clip"]), load_tuning_data(f"{drawn}{way}")
        expected = _held_out_ndcg(student, data)
        rounds = train_rounds(student, data, candidate_texts(data), options=replace(QUICK, hold_out=0.25))
        (width,) = rounds[0].epochs[0].scores
        assert rounds[0].epochs[0].scores[width] == pytest.approx(expected, abs=1e-6)
        assert rounds[0].rows == 12


def _held_out_ndcg(student: TrainableEncoder, data: TuningData) -> float:
    """Return nDCG@10 of a quarter of the queries, each with one relevant document, before any training."""
    pairs = [row for row in hold_out(data.rows, 0.25, 0)[1] if isinstance(row, Pairwise)]
    documents = list(candidate_texts(data))
    scores = _cosines(student.model.encode([pair.query for pair in pairs]), student.model.encode([*documents]))
    gains = []
    for pair, row in zip(pairs, scores, strict=True):
        own = row[documents.index(pair.positive)]
        rank = sum(score > own for score in row)
        gains.append(1 / math.log2(rank + 2) if rank < 10 else 0.0)
    return sum(gains) / len(gains)


def test_mined_negatives_are_other_images_and_train(
    bases: dict[str, Path], drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TuningData] = []
    train = tuning.train_round

    def spy(run: TuningRun, mined: TuningData, *rest: int, **named: Any) -> Any:
        seen.append(mined)
        return train(run, mined, *rest, **named)

    monkeypatch.setattr(tuning, "train_round", spy)
    student, data = opened(bases["clip"]), load_tuning_data(str(drawn))
    before = weights(student)
    mining = MineOptions(2, 0, 8, -3.0)
    options = replace(QUICK, goal=Goal("triplet"), rounds=2, mining=mining)
    rounds = train_rounds(student, data, candidate_texts(data), options=options)
    assert len(seen) == 2
    assert [one.rows for one in rounds] == [16, 16]
    images = set(candidate_texts(data))
    for mined in seen:
        for row in mined.rows:
            assert isinstance(row, Pairwise)
            assert len({row.positive, *row.negatives} & images) == 3
    assert any("vision_model" in name for name in changed(student, before))
