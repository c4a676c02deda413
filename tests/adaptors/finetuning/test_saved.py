"""A tuned encoder as a folder: laid out as the one it began as, loaded anywhere, honest about what it has seen."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset, write_lines
from tiny_models import PROMPTS, make_tiny, write_sentence_transformer, write_tokenizer
from tiny_tuning import QUICK, SAMPLE, changed, embed, make_pairs, weights
from typer.testing import CliRunner, Result

import cli
from adaptors.encoders.description import TrainedOn
from adaptors.encoders.folder import open_adapted
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.parameters import Scope
from adaptors.finetuning.rounds import train_rounds
from adaptors.finetuning.saved import Tuned, save_tuned
from probe.encoding.protocols import Encoder
from probe.errors import CallError, ModelError
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from surgery.saving.fresh_process import check_encoder

OPTIONS = LoadOptions(dtype="float32", device="cpu")
SEEN = TrainedOn("tuned", (("rows.jsonl", "0" * 64),), "rows.jsonl")


def run(app: str, *args: object) -> Result:
    result = CliRunner().invoke(getattr(cli, f"{app}_app"), [*map(str, args)])
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_dataset(tmp_path_factory.mktemp("data") / "tiny")
    write_lines(folder / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(8))])
    return folder


@pytest.fixture(scope="module")
def bases(tiny_folder: Callable[[str], Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Encoders of every kind that can be trained."""
    root = tmp_path_factory.mktemp("bases")
    bert, mpnet = tiny_folder("bert"), tiny_folder("mpnet")
    both = f"{bert}@2:mean+{mpnet}@1:cls"
    on = ["-d", data, "--no-store", "-o"]
    with pytest.MonkeyPatch.context() as patch:
        for check in ("check_encoder", "check_saved"):  # has tests of its own
            patch.setattr(f"surgery.saving.fresh_process.{check}", lambda *_, **__: None)
        run("surgery", "cut", "-m", bert, "--after", 2, "--lens", *on, root / "lensed")
        run("surgery", "cut", "-m", mpnet, "--after", 2, "-o", root / "cut")
        run("adaptors", "fit", "mlp", "-m", f"{bert}@2:mean", "--dims", "16,8", "--steps", 2, *on, root / "network")
        run("adaptors", "fit", "spectral", "-m", both, "--dims", "16,8", *on, root / "spectral")
        run("surgery", "fuse", f"{bert}@2:mean", f"{mpnet}@3:cls", "-o", root / "fused")
    made = {name: root / name for name in ("lensed", "cut", "network", "spectral", "fused")}
    return {"bert": bert, "modernbert": tiny_folder("modernbert"), **made}


@pytest.fixture(scope="module")
def tuned(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[TrainableEncoder, Path]]:
    """Every base after some training, saved; those of a transformer of its own by low-rank matrices or the top."""
    root, found = tmp_path_factory.mktemp("tuned"), {}
    scopes = {"bert": Scope(lora=2), "modernbert": Scope(last_blocks=1)}
    for name, base in bases.items():
        student = open_in(base, root / f"{name}-base")
        train_rounds(student, make_pairs(8), (), options=replace(QUICK, scope=scopes.get(name, Scope())))
        about = Tuned(student, SEEN, name, "## Tuned\n\nOn rows.")
        found[name] = (student, save_tuned(about, root / name, False, check=accept))
    return found


def open_in(folder: Path, scratch: Path) -> TrainableEncoder:
    scratch.mkdir()
    return open_trainable(str(folder), scratch)


def accept(folder: Path) -> None:
    """Accept a folder as it is."""


NAMES = ["bert", "modernbert", "lensed", "cut", "network", "spectral", "fused"]
PLAIN = {"bert", "modernbert", "lensed", "cut"}


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_folder_gives_the_vectors_of_the_trained_encoder(
    name: str, tuned: dict[str, tuple[TrainableEncoder, Path]]
) -> None:
    student, out = tuned[name]
    assert student.is_plain == (name in PLAIN)
    model = SentenceTransformer(str(out), device="cpu", trust_remote_code=name not in PLAIN)
    before = SentenceTransformer(str(student.folder), device="cpu", trust_remote_code=name not in PLAIN)
    found, old = (np.concatenate([m.encode_query(SAMPLE), m.encode_document(SAMPLE)]) for m in (model, before))
    assert found == pytest.approx(embed(student).numpy(), abs=1e-5)
    assert not np.allclose(found, old, atol=1e-4)
    assert [type(module).__name__ for module in model] == [type(module).__name__ for module in before]


# One that loads without this package is checked so by the command.
@pytest.mark.usefixtures("quick_checks")
def test_a_fusion_loads_in_a_fresh_process(tuned: dict[str, tuple[TrainableEncoder, Path]]) -> None:
    student, out = tuned["fused"]
    check_encoder(out, cast(Encoder, student.model), trust=True)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_laid_out_as_what_it_began_as(name: str, tuned: dict[str, tuple[TrainableEncoder, Path]]) -> None:
    student, out = tuned[name]
    before, after = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (student.folder, out)
    )
    learned = {str(Path(tower.folder, "learned.json")) for tower in student.towers}
    assert after == before | {"adaptor.json", "README.md"} | learned
    for path in sorted(student.folder.rglob("*.safetensors")):
        old, new = load_file(path), load_file(out / path.relative_to(student.folder))
        assert {key: (t.shape, t.dtype) for key, t in new.items()} == {
            key: (t.shape, t.dtype) for key, t in old.items()
        }
    assert (out / "README.md").read_text().rstrip().endswith("## Tuned\n\nOn rows.")


def weight_files(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {str(path.relative_to(folder)): load_file(path) for path in sorted(folder.rglob("*.safetensors"))}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("bert", {"model.safetensors"}),
        ("lensed", {"model.safetensors", "3_Dense/model.safetensors"}),
        ("network", {"model.safetensors", "3_AdaptorModule/model.safetensors"}),
        ("fused", {"0_bert/model.safetensors", "1_mpnet/model.safetensors"}),
        ("spectral", {"0_bert/model.safetensors", "1_mpnet/model.safetensors", "1_Dense/model.safetensors"}),
    ],
)
def test_every_part_that_has_weights_is_trained_and_saved(
    name: str, parts: set[str], tuned: dict[str, tuple[TrainableEncoder, Path]]
) -> None:
    student, out = tuned[name]
    before, after = weight_files(student.folder), weight_files(out)
    other = {
        file for file in after if any(not torch.equal(tensor, before[file][key]) for key, tensor in after[file].items())
    }
    assert other == parts


@pytest.mark.parametrize("name", NAMES)
def test_our_loader_ranks_it_as_what_it_was_trained_on(
    name: str, tuned: dict[str, tuple[TrainableEncoder, Path]], data: Path
) -> None:
    out = tuned[name][1]
    saved = open_adapted(out, OPTIONS)
    facts = saved.encoder.adaptor
    assert (facts.kind, facts.labels) == ("tuned", "rows.jsonl")
    # What was fitted to a corpus has seen it still.
    earlier = name in {"lensed", "network", "spectral"}
    dataset = load_dataset(str(data))
    assert facts.saw(dataset) == earlier
    assert facts.seen == ((("tiny", dataset.documents.text_hash), *SEEN.seen) if earlier else SEEN.seen)
    row = json.loads(run("probe", "rank", out, "-d", data, "--no-store", "-f", "json").stdout)["rows"][0]
    assert (row["adaptor"], row["labels"], row["transductive"]) == ("tuned", "rows.jsonl", earlier)
    model = SentenceTransformer(str(out), device="cpu", trust_remote_code=True)
    assert row["dim"] == model.get_embedding_dimension()


def test_every_training_adds_to_what_was_seen(tuned: dict[str, tuple[TrainableEncoder, Path]], tmp_path: Path) -> None:
    first = tuned["lensed"][1]
    student = open_trainable(str(first), tmp_path)
    seen = (("rows.jsonl", "0" * 64), ("other", "1" * 64))
    again = save_tuned(
        Tuned(student, TrainedOn("healed", seen), "x", "## Healed"), tmp_path / "again", False, check=accept
    )
    told = json.loads((again / "adaptor.json").read_text())
    before = json.loads((first / "adaptor.json").read_text())
    assert (told["kind"], told["labels"], told["top"]) == ("healed", "rows.jsonl", before["top"])
    assert set(told["dataset"].split("+")) == {"tiny", "rows.jsonl", "other"}
    assert told["text_sha256"].split("+")[0] == before["text_sha256"].split("+")[0]
    assert told["text_sha256"].split("+")[-1] == "1" * 64
    third = save_tuned(
        Tuned(student, TrainedOn("tuned", seen, "train"), "x", ""), tmp_path / "third", False, check=accept
    )
    assert json.loads((third / "adaptor.json").read_text())["labels"] == "rows.jsonl+train"
    card = (again / "README.md").read_text()
    assert card.index("An adaptor (`lens`)") < card.index("Weights were trained on the rows of rows.jsonl")
    assert "## Tuned" not in card
    assert card.index("All weights were distilled") < card.index("## Healed")


@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_it_can_be_cut(name: str, tuned: dict[str, tuple[TrainableEncoder, Path]], tmp_path: Path) -> None:
    out = tuned[name][1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("surgery.saving.fresh_process.check_saved", lambda *_, **__: None)
        run("surgery", "cut", "-m", out, "--after", 1, "-o", tmp_path / "short")
    assert len(open_trainable(str(tmp_path / "short"), tmp_path).towers[0].stack.blocks) == 1
    short, whole = (weight_files(folder)["model.safetensors"] for folder in (tmp_path / "short", out))
    assert 0 < len(short) < len(whole)
    assert all(torch.equal(tensor, whole[key]) for key, tensor in short.items())


def test_weights_of_half_precision_become_those_that_were_trained(tmp_path: Path) -> None:
    folder = tmp_path / "half"
    make_tiny("bert").half().save_pretrained(folder)
    write_sentence_transformer(write_tokenizer(folder), "mean", PROMPTS)
    student = open_in(folder, tmp_path / "scratch")
    train_rounds(student, make_pairs(), (), options=QUICK)
    out = save_tuned(Tuned(student, SEEN, "half", ""), tmp_path / "out", False, check=accept)
    model = SentenceTransformer(str(out), device="cpu")
    assert next(model.parameters()).dtype == torch.float32
    assert model.encode_query(SAMPLE) == pytest.approx(student.model.encode_query(SAMPLE), abs=1e-5)
    open_adapted(out, OPTIONS)


def test_a_folder_of_ours_alone_is_replaced_and_only_when_told_to(
    tuned: dict[str, tuple[TrainableEncoder, Path]], tmp_path: Path
) -> None:
    student, first = tuned["cut"]
    out = Path(shutil.copytree(first, tmp_path / "out"))
    write_lines(out / "old.txt", ["old"])
    about = Tuned(student, SEEN, "x", "New.")
    with pytest.raises(CallError, match="exists"):
        save_tuned(about, out, False, check=accept)
    save_tuned(about, out, True, check=accept)
    assert (out / "README.md").read_text().rstrip().endswith("New.")
    assert not (out / "old.txt").exists()
    foreign = tmp_path / "foreign"
    write_lines(foreign / "mine.txt", ["mine"])
    with pytest.raises(CallError, match="was not saved by this command"):
        save_tuned(about, foreign, True, check=accept)
    assert [path.name for path in foreign.iterdir()] == ["mine.txt"]


def test_what_a_check_refuses_leaves_nothing(tuned: dict[str, tuple[TrainableEncoder, Path]], tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        assert (folder / "adaptor.json").is_file()
        raise ModelError("no")

    with pytest.raises(ModelError, match="no"):
        save_tuned(Tuned(tuned["cut"][0], SEEN, "x", ""), tmp_path / "out", False, check=refuse)
    assert list(tmp_path.iterdir()) == []


def test_opening_leaves_the_folder_and_the_weights_alone(bases: dict[str, Path], tmp_path: Path) -> None:
    for name in ("lensed", "bert"):
        before = {path: path.read_bytes() for path in bases[name].rglob("*") if path.is_file()}
        scratch = tmp_path / name
        student = open_in(bases[name], scratch)
        assert student.folder == (scratch if name == "bert" else bases[name])
        assert student.prompts == PROMPTS
        assert {path: path.read_bytes() for path in bases[name].rglob("*") if path.is_file()} == before
        old: Any = SentenceTransformer(str(bases[name]), device="cpu")
        assert changed(student, {f"{k}": v for k, v in old.state_dict().items()}) == set()
        assert weights(student)
        assert embed(student).numpy() == pytest.approx(
            np.concatenate([old.encode_query(SAMPLE), old.encode_document(SAMPLE)]), abs=1e-6
        )


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="nowhere"):
        open_trainable("nowhere", tmp_path)
    write_lines(tmp_path / "a" / "surgery.json", ["{}"])
    with pytest.raises(ModelError, match=r"modules\.json is not a list of modules"):
        open_trainable(str(tmp_path / "a"), tmp_path)
