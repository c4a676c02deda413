"""A lens for a raw cut: a linear map on top of it to its teacher's vectors."""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from adaptors.encoders.description import (
    DESCRIPTION,
    SavedDescription,
    describe_member,
    is_adapted,
    read_adaptor,
    seen_texts,
)
from adaptors.finetuning.encoder import TrainableEncoder, cut_texts, open_changed
from adaptors.fitting.closed_form import fit_lens
from adaptors.fitting.kinds import LENS
from adaptors.fitting.states import FitData
from adaptors.healing.embedding import embed_texts
from adaptors.healing.texts import HealTexts
from adaptors.modules.linear import Projection
from probe.encoding.chunk_states import Progress, silent
from surgery.saving.files import write_json
from surgery.saving.heads import DenseLayer, write_dense

__all__ = ["add_lens", "find_head", "has_biased_lens", "has_lens", "has_seen", "refit_lens"]

_MOST_TEXTS = 2048
_SETTINGS = "config_sentence_transformers.json"
_MODULES, _TYPE = "modules.json", "sentence_transformers.models.{}"


def has_lens(folder: Path) -> bool:
    """Return whether an adaptor is on top of the model in a folder."""
    return is_adapted(folder) and bool(read_adaptor(folder).top)


def has_biased_lens(encoder: TrainableEncoder) -> bool:
    """Return whether the head of an encoder has a bias, or is none that can be fitted."""
    index = find_head(encoder)
    head: Any = None if index is None else encoder.model[index]
    return head is None or bool(head.bias)


def has_seen(folder: Path, texts: HealTexts) -> bool:
    """Return whether the adaptor in a folder was fitted to any of the data sets of the texts."""
    known = {text_hash for _, text_hash in seen_texts(read_adaptor(folder))}
    return not known.isdisjoint(text_hash for _, text_hash in texts.seen)


def find_head(encoder: TrainableEncoder) -> int | None:
    """Return the index of the lens among the modules, if there is exactly one square map."""
    from sentence_transformers.sentence_transformer.modules import Dense

    indices = [index for index, module in enumerate(encoder.model) if index and any(True for _ in module.parameters())]
    head: Any = encoder.model[indices[0]] if len(indices) == 1 and len(encoder.towers) == 1 else None
    plain = isinstance(head, Dense) and isinstance(head.activation_function, nn.Identity)
    return indices[0] if plain and head.in_features == head.out_features else None


def add_lens(
    encoder: TrainableEncoder,
    texts: HealTexts,
    *,
    tokens: int | None,
    seed: int,
    bias: bool = True,
    progress: Progress = silent,
) -> TrainableEncoder:
    """Add a map to the teacher's vectors on top of an encoder: a ridge regression, as in `surgery cut --lens`.

    Args:
        encoder: The encoder; it is not changed.
        texts: Texts to fit it to, with their teacher's vectors.
        tokens: Maximum input length; None for the model's own.
        seed: Random seed of the sample of texts.
        bias: Whether the map has a bias.
        progress: Called after every batch.

    Returns:
        The encoder with its lens.
    """
    lens = _fit(encoder.model, texts, tokens=tokens, seed=seed, bias=bias, progress=progress)

    def put_on(folder: Path) -> None:
        """Write the map and its description."""
        top = _write_top(DenseLayer.of(lens.weight.numpy(), lens.bias.numpy()), folder)
        _describe(folder, texts, top, members=[tower.folder for tower in encoder.towers])

    return open_changed(encoder, put_on)


def refit_lens(
    encoder: TrainableEncoder,
    texts: HealTexts,
    *,
    tokens: int | None,
    seed: int,
    progress: Progress = silent,
) -> None:
    """Fit the lens of an encoder again, in place, as in `add_lens`; another kind of head stays."""
    index = find_head(encoder)
    if index is None:
        return
    below = SentenceTransformer(modules=list(encoder.model)[:index], device="cpu")
    below.max_seq_length = encoder.model.max_seq_length
    head: Any = encoder.model[index]
    lens = _fit(below, texts, tokens=tokens, seed=seed, bias=head.bias, progress=progress)
    with torch.no_grad():
        head.linear.weight.copy_(lens.weight)
        if head.bias:
            head.linear.bias.copy_(lens.bias)


def _fit(
    model: SentenceTransformer, texts: HealTexts, *, tokens: int | None, seed: int, bias: bool, progress: Progress
) -> Projection:
    """Return a map of the model's unit vectors to the teacher's, fitted to a sample of the texts."""
    rows = np.random.default_rng(seed).permutation(texts.distinct_rows())[:_MOST_TEXTS].tolist()
    sample = [texts.texts[row] for row in rows]
    with cut_texts(model, tokens):
        vectors = embed_texts(model, sample, partial(progress, "lens"))
    width, targets = vectors.shape[1], texts.targets[rows]
    none, no_pairs = torch.empty(0, width), torch.empty(0, 3, dtype=torch.long)
    data = FitData(vectors, none, (("", width),), targets, no_pairs, "none", ())
    return fit_lens(data, targets.shape[1], bias=bias)


def _write_top(lens: DenseLayer, folder: Path) -> str:
    """Append a map of unit vectors and a normalization to a folder's modules; return the map's folder.

    Without a bias, the vectors need no normalization before the map: a last one is taken out.
    """
    modules = json.loads((folder / _MODULES).read_text(encoding="utf-8"))
    is_unit = modules[-1]["type"] == _TYPE.format("Normalize")
    if is_unit and lens.bias is None:
        shutil.rmtree(folder / modules.pop()["path"], ignore_errors=True)
    for name in ("Dense", "Normalize") if is_unit or lens.bias is None else ("Normalize", "Dense", "Normalize"):
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
