"""A lens for a raw cut: a linear map on top of it to its teacher's vectors."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from adaptors.encoders.description import DESCRIPTION, SavedDescription, describe_member, is_adapted, read_adaptor
from adaptors.finetuning.encoder import TrainableEncoder, cut_texts, open_changed
from adaptors.fitting.closed_form import fit_lens
from adaptors.fitting.kinds import LENS
from adaptors.fitting.states import FitData
from adaptors.healing.texts import HealTexts, embed_texts
from probe.encoding.chunk_states import Progress, silent
from surgery.saving.files import write_json
from surgery.saving.heads import DenseLayer, write_dense

__all__ = ["add_lens", "has_lens"]

_MOST_TEXTS = 4096
_SETTINGS = "config_sentence_transformers.json"
_MODULES, _TYPE = "modules.json", "sentence_transformers.models.{}"


def has_lens(folder: Path) -> bool:
    """Return whether an adaptor is on top of the model in a folder."""
    return is_adapted(folder) and bool(read_adaptor(folder).top)


def add_lens(
    encoder: TrainableEncoder,
    texts: HealTexts,
    *,
    tokens: int | None,
    seed: int,
    progress: Progress = silent,
) -> TrainableEncoder:
    """Add a map to the teacher's vectors on top of an encoder: a ridge regression, as in `surgery cut --lens`.

    Args:
        encoder: The encoder; it is not changed.
        texts: Texts to fit it to, with their teacher's vectors.
        tokens: Maximum input length; None for the model's own.
        seed: Random seed of the sample of texts.
        progress: Called after every batch.

    Returns:
        The encoder with its lens.
    """
    rows = np.random.default_rng(seed).permutation(texts.distinct_rows())[:_MOST_TEXTS].tolist()
    sample = [texts.texts[row] for row in rows]
    with cut_texts(encoder.model, tokens):
        vectors = embed_texts(encoder.model, sample, partial(progress, "lens"))
    width, targets = vectors.shape[1], texts.targets[rows]
    none, no_pairs = torch.empty(0, width), torch.empty(0, 3, dtype=torch.long)
    lens = fit_lens(FitData(vectors, none, (("", width),), targets, no_pairs, "none", ()), targets.shape[1])

    def put_on(folder: Path) -> None:
        """Write the map and its description."""
        top = _write_top(DenseLayer(lens.weight.numpy(), lens.bias.numpy()), folder)
        _describe(folder, texts, top, members=[tower.folder for tower in encoder.towers])

    return open_changed(encoder, put_on)


def _write_top(lens: DenseLayer, folder: Path) -> str:
    """Append a map of unit vectors and a normalization to a folder's modules; return the map's folder."""
    modules = json.loads((folder / _MODULES).read_text(encoding="utf-8"))
    is_unit = modules[-1]["type"].rpartition(".")[2] == "Normalize"
    for name in ("Dense", "Normalize") if is_unit else ("Normalize", "Dense", "Normalize"):
        number = len(modules)
        path = f"{number}_{name}"
        (folder / path).mkdir()
        modules.append({"idx": number, "name": str(number), "path": path, "type": _TYPE.format(name)})
    write_json(folder / _MODULES, modules)
    settings = folder / _SETTINGS
    # A lens is fitted to directions only.
    write_json(settings, {**json.loads(settings.read_text(encoding="utf-8")), "similarity_fn_name": "cosine"})
    top: str = modules[-2]["path"]
    write_dense(lens, folder / top)
    return top


def _describe(folder: Path, texts: HealTexts, top: str, *, members: Sequence[str]) -> None:
    """Write the description of the lens into the folder, as for any other lens."""
    before = read_adaptor(folder) if is_adapted(folder) else None
    names, hashes = ("+".join(part) for part in zip(*texts.seen, strict=True)) if texts.seen else ("", "")
    description = SavedDescription(
        kind=LENS,
        labels=before.labels if before else "none",
        dataset="+".join(filter(None, [before.dataset if before else "", names])),
        text_sha256="+".join(filter(None, [(before.text_sha256 or "") if before else "", hashes])) or None,
        top=[top],
        fitted_to=[describe_member(folder / member) for member in members],
    )
    write_json(folder / DESCRIPTION, description.model_dump())
