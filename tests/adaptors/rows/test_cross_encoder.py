"""A cross-encoder's scores as what an encoder is taught."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

from adaptors.finetuning.encoder import open_trainable
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.rounds import train_rounds
from adaptors.rows.cross_encoder import open_cross_encoder, score_rows
from adaptors.rows.hard_negatives import MineOptions
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Listwise, Pairwise
from probe.errors import CallError, ModelError

ROWS = (
    Pairwise("sun moon", "sun star", ("river stone", "tree")),
    Pairwise("river", "river sea", ("star", "moon sun"), location="a:2"),
    Pairwise("tree leaf", "leaf wood", ("stone", "sea")),
)
DATA = TuningData("a", ROWS)


def write_cross(folder: Path, base: Path, labels: int = 1) -> Path:
    config = AutoConfig.from_pretrained(base)
    config.num_labels = labels
    torch.manual_seed(0)
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> Path:
    return write_cross(tmp_path_factory.mktemp("cross") / "cross", tiny_folder("bert"))


def raw_score(folder: Path, query: str, document: str) -> float:
    model, tokenizer = BertForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return float(model.eval()(**tokenizer(query, document, return_tensors="pt")).logits)


def test_every_document_has_the_cross_encoders_score_before_any_activation(cross: Path) -> None:
    told: list[int] = []
    scored = score_rows(DATA, open_cross_encoder(str(cross)), lambda step, done, total: told.append(done))
    assert sum(told) == 9
    for before, after in zip(ROWS, scored.rows, strict=True):
        assert isinstance(after, Listwise)
        assert (after.query, after.documents) == (before.query, (before.positive, *before.negatives))
        wanted = [raw_score(cross, after.query, document) for document in after.documents]
        assert after.labels == pytest.approx(wanted, abs=1e-5)
    assert len({label for row in scored.rows if isinstance(row, Listwise) for label in row.labels}) == 9


def test_an_encoder_learns_the_scores(cross: Path, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    student = open_trainable(str(tiny_folder("bert")), tmp_path)
    options = TuneOptions(Goal("margin-mse"), schedule=Schedule(2, 2, 1e-3), cross_encoder=str(cross), hold_out=0.0)
    before = torch.from_numpy(student.model.encode("sun"))
    (one,) = train_rounds(student, DATA, (), options=options)
    assert one.rows == 3
    assert not torch.equal(before, torch.from_numpy(student.model.encode("sun")))


def test_mined_negatives_are_scored_too(cross: Path, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    student = open_trainable(str(tiny_folder("bert")), tmp_path)
    rows = tuple(replace(row, negatives=()) for row in ROWS)
    options = TuneOptions(
        Goal("distill-kl"),
        schedule=Schedule(1, 2, 1e-3),
        rounds=1,
        mining=MineOptions(1, 0, 5, -9.0),
        cross_encoder=str(cross),
        hold_out=0.0,
    )
    (one,) = train_rounds(student, TuningData("a", rows), ("stone", "sea", "tree", "moon"), options=options)
    assert one.rows == 3


def test_a_loss_without_scores_takes_no_cross_encoder(
    cross: Path, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    student = open_trainable(str(tiny_folder("bert")), tmp_path)
    with pytest.raises(CallError, match=r"'infonce' does not distil scores: .* margin-mse, distill-kl"):
        train_rounds(student, DATA, (), options=TuneOptions(cross_encoder=str(cross)))


def test_an_encoder_is_no_cross_encoder(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a cross-encoder"):
        open_cross_encoder(str(tiny_folder("bert")))
    with pytest.raises(ModelError, match="has 3 scores per pair: expected 1"):
        open_cross_encoder(str(write_cross(tmp_path / "three", tiny_folder("bert"), 3)))
    with pytest.raises(ModelError, match="cannot be loaded as a cross-encoder"):
        open_cross_encoder(str(tmp_path / "nothing"))


def test_a_single_document_has_nothing_to_be_compared_with(cross: Path) -> None:
    with pytest.raises(CallError, match="a query with one document"):
        score_rows(TuningData("a", (Pairwise("sun", "moon"),)), open_cross_encoder(str(cross)))
