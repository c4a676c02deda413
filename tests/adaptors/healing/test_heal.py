"""Healing: what a cut encoder is taught, that it learns it, that nothing is lost, that the result loads anywhere."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from torch import Tensor, nn
from torch.nn.functional import normalize
from typer.testing import CliRunner, Result

import cli
from adaptors.encoders.folder import open_adapted
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.saved import trained_files
from adaptors.fitting.data import select_fit_data
from adaptors.healing.texts import HealTexts, gather_heal_texts
from adaptors.healing.trainer import HealOptions, train_student
from adaptors.losses.distillation import HealLoss
from probe.encoding.chunk_states import prompted_documents, read_states
from probe.encoding.opening import open_reader
from probe.errors import CallError, ModelError, TrainingError
from probe.evaluation.records import AdaptorFacts
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset

OPTIONS = HealOptions(steps=30, batch_size=8, lr=5e-3, bfloat16=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("heal") / "tiny")


@pytest.fixture(scope="module")
def cut_folder(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path], data: Path) -> Path:
    out = tmp_path_factory.mktemp("cut") / "cut"
    args = ["cut", "-m", tiny_folder("bert"), "--after", 1, "--lens", "-d", data, "--no-store", "--out", out]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)  # has tests of its own
        result = CliRunner().invoke(cli.surgery_app, [*map(str, args)])
    assert result.exit_code == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def texts(tiny_folder: Callable[[str], Path], data: Path) -> HealTexts:
    reader = open_reader(str(tiny_folder("bert")), LoadOptions(dtype="float32", device="cpu"))
    return gather_heal_texts(reader, [select_fit_data(str(data), load_dataset(str(data)), "none")])


def open_cut(folder: Path) -> TrainableEncoder:
    return open_trainable(str(folder), Path())


def open_spoiled(folder: Path) -> TrainableEncoder:
    """Open a cut with a weight changed: the lens alone is nearly right on states this small."""
    student = open_cut(folder)
    with torch.no_grad():
        student.towers[0].module.encoder.layer[0].output.dense.weight.mul_(-1)
    return student


def weights(student: TrainableEncoder) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in student.model.state_dict().items()}


def distance(student: TrainableEncoder, texts: HealTexts) -> float:
    found = torch.from_numpy(student.model.encode(list(texts.texts), normalize_embeddings=True))
    return float((1 - (found * texts.targets).sum(dim=1)).mean())


class Given(nn.Module):
    """A model that gives what it is given."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return features


def plain_loss(vectors: Tensor, targets: Tensor) -> tuple[float, float]:
    """By loops, in float64."""
    units = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in vectors.double().tolist()]
    goals = targets.double().tolist()

    def dot(left: Sequence[float], right: Sequence[float]) -> float:
        return sum(a * b for a, b in zip(left, right, strict=True))

    count = len(units)
    apart = sum(1 - dot(units[i], goals[i]) for i in range(count)) / count
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    return apart, sum((dot(units[i], units[j]) - dot(goals[i], goals[j])) ** 2 for i, j in pairs) / len(pairs)


def test_the_loss_is_its_definition() -> None:
    dice = torch.Generator().manual_seed(0)
    vectors = torch.randn(6, 5, generator=dice) * 3
    targets = normalize(torch.randn(6, 5, generator=dice), dim=1)
    loss = HealLoss(Given())([{"sentence_embedding": vectors}], targets)
    apart, relations = plain_loss(vectors, targets)
    assert float(loss["distance"]) == pytest.approx(apart, rel=1e-5)
    assert float(loss["relations"]) == pytest.approx(relations, rel=1e-4)


def test_the_teachers_own_vectors_cost_nothing_at_any_length() -> None:
    targets = normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    loss = HealLoss(Given())([{"sentence_embedding": 7 * targets}], targets)
    assert sum(map(float, loss.values())) == pytest.approx(0, abs=1e-5)


def test_a_single_text_is_no_division_by_nothing() -> None:
    one = normalize(torch.ones(1, 5), dim=1)
    loss = HealLoss(Given())([{"sentence_embedding": one.requires_grad_()}], one.detach())
    assert all(math.isfinite(float(value)) for value in loss.values())


def test_texts_have_their_prompts_and_the_full_models_vectors(
    texts: HealTexts, tiny_folder: Callable[[str], Path], data: Path
) -> None:
    reader = open_reader(str(tiny_folder("bert")), LoadOptions(dtype="float32", device="cpu"))
    dataset = load_dataset(str(data))
    first = next(iter(dataset.documents))[1]
    assert texts.texts[0] == reader.model.document_prompt + first
    place = (reader.model.depth, "mean")
    (states,) = read_states(reader, prompted_documents(reader, dataset), [place])
    assert torch.allclose(texts.targets, normalize(torch.from_numpy(states.vectors[place]), dim=1))
    assert texts.seen == (("tiny", dataset.documents.text_hash),)


def test_it_comes_nearer_to_its_teacher(cut_folder: Path, texts: HealTexts) -> None:
    student = open_spoiled(cut_folder)
    before, longest = distance(student, texts), student.model.max_seq_length
    train_student(student, texts, OPTIONS)
    assert distance(student, texts) < 0.5 * before
    assert student.model.max_seq_length == longest


def test_it_learns_without_dropout(cut_folder: Path, texts: HealTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    modes, compute = set(), HealLoss.compute_loss_from_embeddings

    def spy(self: HealLoss, *args: Any) -> Any:
        modes.update(module.training for module in self.model.modules())
        return compute(self, *args)

    monkeypatch.setattr(HealLoss, "compute_loss_from_embeddings", spy)
    train_student(open_cut(cut_folder), texts, replace(OPTIONS, steps=2))
    assert modes == {False}


def test_the_same_seed_gives_the_same_weights(cut_folder: Path, texts: HealTexts) -> None:
    found = []
    for seed in (0, 0, 1):
        student = open_spoiled(cut_folder)
        train_student(student, texts, replace(OPTIONS, steps=5, seed=seed))
        found.append(weights(student))
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())
    assert not all(torch.equal(tensor, found[2][name]) for name, tensor in found[0].items())


def test_nothing_lost_an_interrupted_healing_ends_with_the_same_weights(
    cut_folder: Path, texts: HealTexts, tmp_path: Path
) -> None:
    undisturbed = open_spoiled(cut_folder)
    train_student(undisturbed, texts, replace(OPTIONS, steps=20, checkpoint_dir=tmp_path / "whole"))
    stopped, done = replace(OPTIONS, steps=20, checkpoint_dir=tmp_path / "cut"), []

    def stop(step: str, count: int, total: int) -> None:
        done.append(step)
        if len(done) == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_student(open_spoiled(cut_folder), texts, replace(stopped, progress=stop))
    again, told = open_spoiled(cut_folder), []
    train_student(again, texts, replace(stopped, progress=lambda step, count, total: told.append(count)))
    assert sum(told) == 8
    expected = weights(undisturbed)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(again).items())
    with pytest.raises(CallError, match="another training"):
        train_student(open_spoiled(cut_folder), texts, replace(stopped, seed=5))


def test_a_loss_that_is_no_number_ends_it(cut_folder: Path, texts: HealTexts) -> None:
    broken = replace(texts, targets=torch.full_like(texts.targets, float("nan")))
    with pytest.raises(TrainingError, match="the loss is nan"):
        train_student(open_cut(cut_folder), broken, replace(OPTIONS, steps=50))


def test_another_width_than_the_teachers_is_refused(cut_folder: Path, texts: HealTexts) -> None:
    with pytest.raises(ModelError, match="32 dimensions and its teacher 7"):
        train_student(open_cut(cut_folder), replace(texts, targets=texts.targets[:, :7]), OPTIONS)


def test_what_is_counted_in_a_weight_file_stays_and_what_is_unknown_is_refused(
    cut_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(cut_folder, folder)
    file, student = folder / "model.safetensors", open_cut(cut_folder)
    positions = {"embeddings.position_ids": torch.arange(7)}
    save_file(load_file(file) | positions, file)
    assert trained_files(student, folder)[file]["embeddings.position_ids"].tolist() == list(range(7))
    save_file(load_file(file) | {"head.weight": torch.ones(2)}, file)
    with pytest.raises(ModelError, match=r"no tensor for 'head\.weight'"):
        trained_files(student, folder)


def heal_by_command(*args: object) -> Result:
    return CliRunner().invoke(cli.adaptors_app, ["heal", *map(str, args)])


@pytest.mark.usefixtures("quick_checks")
def test_the_command_saves_a_model_that_loads_anywhere(
    cut_folder: Path, tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "healed", tmp_path / "other"
    shutil.copytree(data, other)
    both = ["-d", data, "-d", other, "--no-store"]
    teacher = ("--teacher", tiny_folder("bert"))
    result = heal_by_command(cut_folder, *teacher, *both, "--steps", 3, "--plot", tmp_path / "map.png", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out)
    assert f"compare: probe rank {tiny_folder('bert')} {cut_folder} {out} -d DATASET" in result.stderr
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert SentenceTransformer(str(out), device="cpu").encode(["river stone cloud"]).shape == (1, 32)
    saved = open_adapted(out)
    assert saved.encoder.adaptor.kind == "healed"
    assert all(saved.encoder.adaptor.saw(load_dataset(str(name))) for name in (data, other))
    card = (out / "README.md").read_text()
    assert "3 batches of the tokens of 8 whole texts" in card
    ranked = CliRunner().invoke(cli.probe_app, ["rank", str(out), "-d", str(data), "--no-store", "--format", "csv"])
    assert "healed" in ranked.stdout


def test_what_was_seen_of_several_data_sets_is_remembered(data: Path) -> None:
    dataset = load_dataset(str(data))
    facts = AdaptorFacts("healed", "none", (("nfcorpus", "0"), ("tiny", "1")), None, 1)
    assert facts.saw(dataset)
    assert not facts.saw(replace(dataset, name="corpus"))
    assert facts.saw(replace(dataset, name="a+b")) is False
    seen = replace(facts, seen=(("x", "0"), ("y", dataset.documents.text_hash)))
    assert seen.saw(dataset)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["{bert}"], "has no record of its original model: give the full model with --teacher"),
        (["nowhere"], "unknown model 'nowhere'"),
        (["{cut}", "--out", "{cut}"], "exists"),
        (["{cut}", "--loss", "triplet"], "No such option: --loss"),
    ],
)
def test_a_wrong_call_is_said(
    cut_folder: Path, tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, change: list[str], words: str
) -> None:
    folders = {"bert": tiny_folder("bert"), "cut": cut_folder}
    changed = [part.format(**folders) for part in change]
    given = {"-d": data, "--out": tmp_path / "out"}
    kept = [part for name, value in given.items() if name not in changed for part in (name, value)]
    result = heal_by_command(*changed, "--no-store", *kept)
    assert result.exit_code == 2, result.stderr
    assert words in result.stderr
    assert not (tmp_path / "out").exists()
