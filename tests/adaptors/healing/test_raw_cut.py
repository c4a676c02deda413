"""Any cut can be healed: its lens is found on the way, its teacher in what it says it was cut from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_tuning import run_command
from torch.nn.functional import normalize

import adaptors.healing.heal as heal_file
import adaptors.healing.lens as lens_file
import adaptors.healing.start as start_file
from adaptors.encoders.folder import open_adapted
from adaptors.finetuning.encoder import open_trainable
from adaptors.healing.heal import heal
from adaptors.healing.lens import add_lens, find_head, has_lens
from adaptors.healing.start import scored_rows
from adaptors.healing.teacher import find_teacher
from adaptors.healing.texts import HealTexts
from probe.errors import CallError

TEXTS = ("river stone cloud", "sun moon", "milk wood seed star snow", "acid air animal", "bone brain", "dust earth egg")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("raw") / "tiny")


@pytest.fixture(scope="module")
def cuts(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a cut and a kept set of blocks, without lenses."""
    root = tmp_path_factory.mktemp("cuts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("surgery.saving.fresh_process.check_saved", lambda *_, **__: None)
        for name, how in {"cut": ["--after", 2], "keep": ["--blocks", "1,3"]}.items():
            result = run_command(name, "-m", tiny_folder("bert"), *how, "--out", root / name, app="surgery")
            assert result.exit_code == 0, result.stderr
    return {name: root / name for name in ("cut", "keep")}


@pytest.mark.parametrize("name", ["cut", "keep"])
@pytest.mark.usefixtures("quick_checks")
def test_a_raw_cut_is_healed_by_what_it_was_cut_from(
    name: str, cuts: dict[str, Path], data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    out = tmp_path / "healed"
    result = run_command("heal", cuts[name], "-d", data, "--steps", 3, "--no-store", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "against the teacher's vectors: cosine" in result.stderr
    assert "3 steps are few" in result.stderr
    model = SentenceTransformer(str(out), device="cpu")
    assert [type(module).__name__ for module in model] == ["Transformer", "Pooling", "Normalize", "Dense", "Normalize"]
    assert open_adapted(out).encoder.adaptor.kind == "healed"
    (healed,) = json.loads((out / "surgery.json").read_text())["steps"][-1:]
    assert healed["teacher"] == str(tiny_folder("bert"))
    assert healed["after"]["cosine"] >= healed["before"]["cosine"]
    card = ModelCard.load(out / "README.md")
    assert card.data.library_name == "sentence-transformers"
    assert "Nothing was trained" not in card.text
    assert "## Retrieval" not in card.text
    assert "An adaptor (`lens`) was added on top" in card.text
    assert f"cosine {healed['after']['cosine']:.4f}" in card.text


def test_a_lens_that_is_found_on_the_way_is_the_ridge_regression_to_the_teacher(
    cuts: dict[str, Path], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    with TemporaryDirectory() as scratch:
        teacher = open_trainable(str(tiny_folder("bert")), Path(scratch)).model
    targets = normalize(teacher.encode(list(TEXTS), convert_to_tensor=True), dim=1)
    wide = torch.cat([targets, targets], dim=1) / 2**0.5
    student = open_trainable(str(cuts["cut"]), tmp_path)
    for number, wanted in enumerate((targets, wide)):
        texts = HealTexts(TEXTS, wanted, (("tiny", "0"),))
        lensed = add_lens(student, texts, tokens=None, seed=0)
        assert has_lens(lensed.folder)
        assert not has_lens(student.folder)
        assert lensed.name == student.name
        found = lensed.model.encode(list(TEXTS), convert_to_tensor=True)
        raw = normalize(student.model.encode(list(TEXTS), convert_to_tensor=True), dim=1)
        assert found.shape == wanted.shape
        assert float((found * wanted).sum(dim=1).mean()) > 0.9
        if not number:
            assert float((found * wanted).sum(dim=1).mean()) > float((raw * wanted).sum(dim=1).mean())


@pytest.mark.usefixtures("quick_checks")
def test_a_lens_without_a_bias_gets_none_by_healing(cuts: dict[str, Path], data: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "healed", tmp_path / "again"
    result = run_command("heal", cuts["cut"], "-d", data, "--no-bias", "--steps", 3, "--no-store", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "as the cut with its lens without a bias" in (out / "README.md").read_text()
    # Its lens has seen these texts, so it is fitted again.
    more = run_command(
        "heal", out, "-d", data, "--steps", 1, "--no-store", "--teacher", find_origin(out), "--out", again
    )
    assert more.exit_code == 0, more.stderr
    for folder in (out, again):
        model = SentenceTransformer(str(folder), device="cpu")
        assert [type(module).__name__ for module in model] == ["Transformer", "Pooling", "Dense", "Normalize"]
        assert model[2].linear.bias is None


def find_origin(folder: Path) -> str:
    return str(json.loads((folder / "surgery.json").read_text())["from"])


@pytest.mark.parametrize("bias", [True, False])
def test_a_head_gives_the_vectors_of_its_fit(
    bias: bool, cuts: dict[str, Path], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    teacher = open_trainable(str(tiny_folder("bert")), tmp_path / "teacher").model
    texts = HealTexts(TEXTS, normalize(teacher.encode(list(TEXTS), convert_to_tensor=True), dim=1), (("tiny", "0"),))
    student = add_lens(open_trainable(str(cuts["cut"]), tmp_path), texts, tokens=None, seed=0, bias=bias)
    sample, index = start_file._Sample(student.model, texts, 0), find_head(student)
    assert index is not None
    with torch.no_grad():
        fitted = start_file._fit_head(student.model.eval(), index, sample)
        found = start_file._embed(list(student.model), sample)
    assert torch.allclose(fitted, found, atol=1e-5)
    assert (student.model[index].linear.bias is not None) is bias


def test_an_adaptor_with_a_bias_keeps_it(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)
    cut = tmp_path / "cut"
    made = run_command(
        "cut", "-m", tiny_folder("bert"), "--after", 2, "--lens", "-d", data, "--out", cut, app="surgery"
    )
    assert made.exit_code == 0, made.stderr
    result = run_command("heal", cut, "-d", data, "--no-bias", "--steps", 3, "--no-store", "--out", tmp_path / "healed")
    assert result.exit_code == 2
    assert "has an adaptor with a bias: leave out --no-bias" in result.stderr


ORIGINS = {
    "no origin": (None, "has no record of its original model: give the full model with --teacher"),
    "a fusion": ({"fused": []}, "is a fused model: give the full model with --teacher"),
    "a folder that went": (
        {"from": "/nowhere/m"},
        "was cut from '/nowhere/m', which was not found: give the full model",
    ),
}


@pytest.mark.parametrize(("origin", "words"), ORIGINS.values(), ids=ORIGINS)
def test_where_no_teacher_is_known_the_way_out_is_said(
    origin: dict[str, object] | None, words: str, cuts: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(cuts["cut"], tmp_path / "cut"))
    student = open_trainable(str(folder), tmp_path)
    assert find_teacher(student, "another") == "another"
    assert find_teacher(student, None) == json.loads((folder / "surgery.json").read_text())["from"]
    (folder / "surgery.json").unlink()
    if origin is not None:
        (folder / "surgery.json").write_text(json.dumps(origin))
    with pytest.raises(CallError, match=words):
        find_teacher(student, None)


def test_a_hub_id_is_a_teacher(cuts: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(cuts["cut"], tmp_path / "cut"))
    (folder / "surgery.json").write_text(json.dumps({"from": "owner/name"}))
    assert find_teacher(open_trainable(str(folder), tmp_path), None) == "owner/name"


@pytest.mark.usefixtures("quick_checks")
def test_a_cut_is_healed_in_python(cuts: dict[str, Path], data: Path, tmp_path: Path) -> None:
    settings = {"steps": 3, "batch_size": 4, "lr": 1e-3, "bfloat16": False}
    result = heal(str(cuts["cut"]), data, out=tmp_path / "out", **settings)
    assert (result.state.steps, result.before.cosine <= result.after.cosine) == (3, True)
    assert result.describe()[0].startswith(
        f"On {result.state.held_out} held-out texts, against the teacher's vectors: "
    )
    saved = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(list(TEXTS))
    assert np.abs(saved - result.encoder.encode(list(TEXTS))).max() < 1e-5
    for wrong, words in (
        ({"step": 3}, "unknown option 'step': did you mean steps"),
        ({"lr": 0}, "--lr 0 is out of range"),
    ):
        with pytest.raises(CallError, match=words):
            heal(str(cuts["cut"]), data, **wrong)


@pytest.mark.parametrize("lens", ["none", "fitted to these texts", "fitted to other texts"])
def test_no_lens_has_seen_the_texts_on_which_starts_are_compared(
    lens: str, tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[HealTexts] = []

    def spy(model: object, texts: HealTexts, **settings: object) -> object:
        fitted.append(texts)
        return fit(model, texts, **settings)  # type: ignore[arg-type]

    fit = lens_file._fit
    monkeypatch.setattr(lens_file, "_fit", spy)
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)
    data, cut = make_dataset(tmp_path / "data"), tmp_path / "cut"
    given: list[object] | None = {"none": [], "fitted to these texts": ["--lens", "-d", data]}.get(lens)
    if given is None:
        shutil.copytree(data, tmp_path / "changed")
        with (tmp_path / "changed" / "corpus.jsonl").open("a") as file:
            file.write(json.dumps({"_id": "new", "title": "", "text": "another text"}) + "\n")
        given = ["--lens", "-d", tmp_path / "changed"]
    made = run_command("cut", "-m", tiny_folder("bert"), "--after", 2, *given, "--out", cut, app="surgery")
    assert made.exit_code == 0, made.stderr
    started: list[HealTexts] = []
    choose = heal_file.choose_start

    def note(student: object, stack: object, texts: HealTexts, **settings: object) -> object:
        started.append(texts)
        return choose(student, stack, texts, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(heal_file, "choose_start", note)
    heal(cut, str(data), steps=1, batch_size=4)
    (texts,) = started
    scored = {texts.texts[row] for row in scored_rows(texts, 0)}
    assert scored
    assert len(fitted) == (lens != "fitted to other texts")
    assert all(not scored & set(one.texts) for one in fitted)
