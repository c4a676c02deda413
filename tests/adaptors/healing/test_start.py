"""Where a healing begins: which of the full model's blocks take whose places, and how the head is fitted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import make_texts, make_tiny, write_sentence_transformer, write_tokenizer
from torch import Tensor
from torch.nn.functional import normalize
from typer.testing import CliRunner

import cli
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.healing.start import HealStart, choose_start, scored_rows
from adaptors.healing.texts import HealTexts
from probe.errors import ModelError
from probe.layers.layer_stack import LayerStack
from probe.models.loading import load_model
from probe.models.options import LoadOptions

TEXTS = tuple(make_texts(60, seed=11))


@torch.no_grad()
def write_teacher(folder: Path, idle: int) -> Path:
    """Write an encoder of three blocks of which one (counted from 1) changes nothing."""
    model = make_tiny("bert")
    below, block = model.encoder.layer[idle - 2], model.encoder.layer[idle - 1]
    for norm in (below.output.LayerNorm, block.attention.output.LayerNorm, block.output.LayerNorm):
        norm.weight.fill_(1)
        norm.bias.zero_()
    for dense in (block.attention.output.dense, block.output.dense):
        dense.weight.zero_()
        dense.bias.zero_()
    model.save_pretrained(folder)
    return write_sentence_transformer(write_tokenizer(folder))


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("teachers")
    return {idle: write_teacher(folder / str(idle), idle) for idle in (2, 3)}


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory, teachers: dict[int, Path]) -> dict[int, Path]:
    """Return the teachers cut after 2 of 3 blocks, with their lenses."""
    folder = tmp_path_factory.mktemp("cuts")
    data = make_dataset(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)  # has tests of its own
        for idle, teacher in teachers.items():
            args = ["-m", teacher, "--after", 2, "--lens", "-d", data, "--no-store", "--out", folder / str(idle)]
            result = CliRunner().invoke(cli.surgery_app, ["cut", *map(str, args)])
            assert result.exit_code == 0, result.stderr
    return {idle: folder / str(idle) for idle in teachers}


def embed(folder: Path) -> Tensor:
    return normalize(SentenceTransformer(str(folder), device="cpu").encode(list(TEXTS), convert_to_tensor=True), dim=1)


def begin(cut: Path, teacher: Path, seed: int = 0) -> tuple[TrainableEncoder, tuple[HealStart, ...]]:
    student = open_trainable(str(cut), Path())
    return student, choose_start(
        student, stack_of(teacher), HealTexts(TEXTS, embed(teacher), ()), tokens=None, seed=seed
    )


def stack_of(folder: Path) -> LayerStack:
    return load_model(str(folder), LoadOptions(dtype="float32", device="cpu")).stack


def away(student: TrainableEncoder, targets: Tensor) -> float:
    found = normalize(student.model.encode(list(TEXTS), convert_to_tensor=True), dim=1)
    return float((1 - (found * targets).sum(dim=1)).mean())


def test_where_a_middle_block_was_idle_the_last_one_makes_the_cut_whole_again(
    cuts: dict[int, Path], teachers: dict[int, Path]
) -> None:
    student, tried = begin(cuts[2], teachers[2])
    assert [start.own_blocks for start in tried] == [2, 1, 0]
    assert tried[1].distance == pytest.approx(0, abs=1e-6)
    assert min(tried[0].distance, tried[2].distance) > 1e-4
    assert away(student, embed(teachers[2])) == pytest.approx(0, abs=1e-5)


def test_where_the_last_block_was_idle_the_cut_and_its_lens_stay_as_they_are(
    cuts: dict[int, Path], teachers: dict[int, Path]
) -> None:
    before = open_trainable(str(cuts[3]), Path()).model.state_dict()
    student, tried = begin(cuts[3], teachers[3])
    assert min(tried, key=lambda start: start.distance).own_blocks == 2
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.model.state_dict().items())


def test_the_student_becomes_the_start_that_was_found_nearest(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    student, tried = begin(cuts[2], teachers[3])  # another model's blocks
    nearest = min(tried, key=lambda start: start.distance)
    blocks = [block.state_dict() for block in student.towers[0].stack.blocks]
    given = [block.state_dict() for block in list(stack_of(teachers[3]).blocks)[-2:]]
    own = [block.state_dict() for block in open_trainable(str(cuts[2]), Path()).towers[0].stack.blocks]
    expected = [*own[: nearest.own_blocks], *given[nearest.own_blocks :]]
    for found, wanted in zip(blocks, expected, strict=True):
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())


def test_the_head_is_a_ridge_regression_drawn_to_the_identity(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    noise = 0.02 * torch.randn(60, 32, generator=torch.Generator().manual_seed(2))
    texts = HealTexts(TEXTS, normalize(embed(teachers[2]) + noise, dim=1), ())
    student = open_trainable(str(cuts[2]), Path())
    tried = choose_start(student, stack_of(teachers[2]), texts, tokens=None, seed=0)
    assert min(tried, key=lambda start: start.distance) is not tried[0]
    head = student.model[-2]
    below = SentenceTransformer(modules=list(student.model)[:-2], device="cpu")
    order = sorted(np.random.default_rng(0).permutation(60).tolist(), key=lambda row: len(TEXTS[row]))
    given = normalize(below.encode([TEXTS[row] for row in order], convert_to_tensor=True).double(), dim=1).numpy()
    wanted = texts.targets[order].double().numpy()
    fitted = ~np.isin(order, scored_rows(texts, 0))
    assert fitted.sum() == 45
    x, y = given[fitted] - given[fitted].mean(0), wanted[fitted] - wanted[fitted].mean(0)
    drawn = np.sqrt(0.005 * len(x)) * np.eye(32)
    weight = np.linalg.lstsq(np.vstack([x, drawn]), np.vstack([y, drawn]), rcond=None)[0]
    assert np.allclose(head.linear.weight.detach().numpy().T, weight, atol=1e-4)
    bias = wanted[fitted].mean(0) - given[fitted].mean(0) @ weight
    assert np.allclose(head.linear.bias.detach().numpy(), bias, atol=1e-4)


def test_texts_that_a_head_was_fitted_on_do_not_judge_it(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    random = normalize(torch.randn(60, 32, generator=torch.Generator().manual_seed(3)), dim=1)
    student = open_trainable(str(cuts[2]), Path())
    tried = choose_start(student, stack_of(teachers[2]), HealTexts(TEXTS, random, ()), tokens=None, seed=0)
    assert all(start.distance > 0.8 for start in tried)


def test_the_same_seed_begins_alike(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    runs = [begin(cuts[2], teachers[2], seed) for seed in (0, 0, 1)]
    assert runs[0][1] == runs[1][1] != runs[2][1]
    first, second = (student.model.state_dict() for student, _ in runs[:2])
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_blocks_that_are_made_otherwise_take_no_place(
    cuts: dict[int, Path], teachers: dict[int, Path], tmp_path: Path
) -> None:
    make_tiny("bert", intermediate_size=40).save_pretrained(tmp_path / "other")
    write_sentence_transformer(write_tokenizer(tmp_path / "other"))
    before = open_trainable(str(cuts[2]), Path()).model.state_dict()
    student, tried = begin(cuts[2], tmp_path / "other")
    assert [start.own_blocks for start in tried] == [2]
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.model.state_dict().items())


def test_another_head_than_a_lens_stays(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    student = open_trainable(str(cuts[2]), Path())
    student.model[-2].activation_function = torch.nn.Tanh()
    texts = HealTexts(TEXTS, embed(teachers[2]), ())
    assert len(choose_start(student, stack_of(teachers[2]), texts, tokens=None, seed=0)) == 1


def test_another_width_is_refused_before_anything_is_tried(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    student = open_trainable(str(cuts[2]), Path())
    texts = HealTexts(TEXTS, embed(teachers[2])[:, :7], ())
    with pytest.raises(ModelError, match="32 dimensions and its teacher 7"):
        choose_start(student, stack_of(teachers[2]), texts, tokens=None, seed=0)


def test_two_texts_are_enough(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    texts = HealTexts(TEXTS[:2], embed(teachers[2])[:2], ())
    tried = choose_start(open_trainable(str(cuts[2]), Path()), stack_of(teachers[2]), texts, tokens=None, seed=0)
    assert all(np.isfinite(start.distance) for start in tried)


def test_texts_are_cut_as_they_will_be_in_training(cuts: dict[int, Path], teachers: dict[int, Path]) -> None:
    short = list(dict.fromkeys(" ".join(text.split()[:4]) for text in TEXTS if text.count(" ") > 3))
    whole = [text + " moon" * 20 for text in short]
    targets, found = embed(teachers[2])[: len(short)], []
    for texts, tokens in ((whole, 6), (short, None), (whole, None)):
        student = open_trainable(str(cuts[2]), Path())
        given = HealTexts(tuple(texts), targets, ())
        found.append(choose_start(student, stack_of(teachers[2]), given, tokens=tokens, seed=0))
    assert found[0] != found[2]
    for cut, beginning in zip(*found[:2], strict=True):
        assert cut.distance == pytest.approx(beginning.distance, abs=1e-5)


@pytest.mark.parametrize(
    ("idle", "words"),
    [(2, "Its last block was initialized from"), (3, "It was initialized as the cut")],
)
def test_the_card_tells_where_it_began(
    cuts: dict[int, Path],
    teachers: dict[int, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    idle: int,
    words: str,
) -> None:
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)
    data, out = make_dataset(tmp_path / "data"), tmp_path / "out"
    args = [cuts[idle], "--teacher", teachers[idle], "-d", data, "--steps", 1, "--no-store", "-o", out]
    result = CliRunner().invoke(cli.adaptors_app, ["heal", *map(str, args)])
    assert result.exit_code == 0, result.stderr
    assert words in (out / "README.md").read_text()
    assert words in " ".join(result.stderr.split())
