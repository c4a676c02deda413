"""Fewer dimensions: the principal axes, and a saved folder that has them multiplied in."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch.nn.functional import normalize

from adaptors.candidates.dimensions import fit_basis, fold_basis
from adaptors.finetuning.encoder import open_trainable
from adaptors.healing.lens import add_lens
from adaptors.healing.texts import HealTexts
from probe.errors import CallError

TEXTS = tuple(f"apple bark {word}" for word in ("bird", "blood", "boat", "bone", "brain", "cell", "cloud", "coal"))


def test_axes_are_those_of_the_largest_spread_without_centring() -> None:
    vectors = torch.tensor([[3.0, 0.0, 0.1], [4.0, 0.1, 0.0], [5.0, 0.0, 0.0]])
    basis = fit_basis(vectors, 1)
    assert abs(basis.axes[0, 0]) > 0.99
    assert fit_basis(vectors, 3).axes @ fit_basis(vectors, 3).axes.T == pytest.approx(np.eye(3), abs=1e-5)


def test_more_dimensions_than_there_are_is_refused() -> None:
    with pytest.raises(CallError, match="--dims 5: expected 1 to 3"):
        fit_basis(torch.eye(4)[:, :3], 5)


def test_the_folder_gives_the_projected_vectors(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    encoder = open_trainable(str(tiny_folder("bert")))
    generator = torch.Generator().manual_seed(0)
    targets = normalize(torch.randn(len(TEXTS), 32, generator=generator), dim=1)
    student = add_lens(encoder, HealTexts(TEXTS, targets, ()), tokens=None, seed=0)
    folder = tmp_path / "model"
    shutil.copytree(student.folder, folder)
    before = SentenceTransformer(str(folder), device="cpu").encode(list(TEXTS))
    basis = fit_basis(targets, 4)
    fold_basis(folder, basis)
    after = SentenceTransformer(str(folder), device="cpu")
    expected = before @ basis.axes.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert after.encode(list(TEXTS)) == pytest.approx(expected, abs=1e-5)
    assert after.get_embedding_dimension() == 4
    kinds = [module["type"].rpartition(".")[2] for module in json.loads((folder / "modules.json").read_text())]
    assert kinds.count("Dense") == 1
