"""`load_encoder` opens whatever a spec or a saved folder names, and gives the vectors that its row has."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_data import make_dataset
from tiny_models import WIDTH, make_texts

import encoder_surgery
from adaptors import load_encoder, rank
from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.folder import About, save_adapted
from adaptors.encoders.specs import resolve_specs
from adaptors.modules.linear import Projection
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.protocols import Encoder
from probe.errors import CallError, ProbeError
from probe.evaluation.evaluate import evaluate
from probe.evaluation.fusion import Fusion
from probe.evaluation.records import AdaptorFacts
from probe.experiments.options import RunOptions
from probe.metrics.vectors import unit
from probe.models.options import LoadOptions
from surgery import fuse, save

TEXTS = make_texts(6)
OPTIONS = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def folders(bert: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders that stand by themselves: a fused model, and an encoder with a linear map on top."""
    root = tmp_path_factory.mktemp("saved")
    resolved = resolve_specs([f"{bert}@2:cls"], OPTIONS)
    reader, point = resolved.candidates[0].reader, resolved.candidates[0].hookpoints[0]
    module = Projection.of(torch.eye(WIDTH)[:, :4])
    adapted = AdaptedEncoder(Fusion((point,)), module, 4, AdaptorFacts("pca", "none", (), None, 0))
    return {
        "fused": str(save(fuse([f"{bert}@1:mean", f"{bert}@3:cls"], options=OPTIONS), str(root / "fused"))),
        "adapted": str(save_adapted(adapted, [reader], root / "adapted", about=About("tiny"))),
    }


def test_one_import_has_the_verbs_that_know_most() -> None:
    assert encoder_surgery.load_encoder is load_encoder
    assert encoder_surgery.rank is rank


def test_a_hookpoint_is_that_of_probe(bert: str) -> None:
    encoder = load_encoder(f"{bert}@2:cls", OPTIONS)
    assert isinstance(encoder, HookpointEncoder)
    assert str(encoder.hookpoint) == f"{bert}@2:cls"


def test_a_fusion_joins_its_parts(bert: str) -> None:
    encoder = load_encoder(f"{bert}@1:mean+{bert}@3:cls", OPTIONS)
    parts = [unit(load_encoder(f"{bert}@{place}", OPTIONS).encode_query(TEXTS)) for place in ("1:mean", "3:cls")]
    assert encoder.encode_query(TEXTS) == pytest.approx(np.concatenate(parts, axis=1) / np.sqrt(2), abs=1e-6)


@pytest.mark.parametrize("kind", ["fused", "adapted"])
def test_a_saved_folder_scores_as_its_row(kind: str, folders: dict[str, str], tmp_path: Path) -> None:
    from probe.sources.loading import load_dataset

    dataset = load_dataset(str(make_dataset(tmp_path / "tiny")))
    encoder = load_encoder(folders[kind], OPTIONS)
    assert isinstance(encoder, Encoder)
    (row,) = rank([folders[kind]], dataset, options=RunOptions(load=OPTIONS)).rows
    assert row.encoder == folders[kind]
    assert evaluate(encoder, dataset).mean("ndcg@10") == pytest.approx(row.scores["ndcg@10"], abs=1e-9)


def test_what_stands_by_itself_or_is_several_is_refused_in_a_line(bert: str, folders: dict[str, str]) -> None:
    wrong = [f"{folders['fused']}@1", f"{folders['adapted']}+{bert}", f"{bert}@1-2+{bert}@3", f"{bert}:tokens+{bert}"]
    for spec in [*wrong, f"{bert}@1-2", f"{bert}@9+{bert}", "clip@image+clip@text"]:
        with pytest.raises(CallError) as caught:
            load_encoder(spec, OPTIONS)
        assert "\n" not in str(caught.value)


def test_probe_names_the_way_out_for_folders_it_does_not_know(folders: dict[str, str]) -> None:
    from probe.encoding.opening import load_encoder as load_hookpoint

    with pytest.raises(ProbeError, match=r"adaptors\.load_encoder"):
        load_hookpoint(folders["fused"], OPTIONS)
    # Of sentence-transformers' own modules alone, its own vectors are those with the map.
    expected = load_encoder(folders["adapted"], OPTIONS).encode_query(TEXTS)
    assert load_hookpoint(folders["adapted"], OPTIONS).encode_query(TEXTS) == pytest.approx(expected, abs=1e-6)
    assert load_hookpoint(f"{folders['adapted']}:cls", OPTIONS).encode_query(["ice"]).shape == (1, WIDTH)


@pytest.mark.parametrize("kind", ["fused", "adapted"])
def test_a_saved_folder_has_the_name_it_is_given_and_is_a_row_as_an_object(
    kind: str, folders: dict[str, str], bert: str, tmp_path: Path
) -> None:
    data, options = str(make_dataset(tmp_path / "tiny")), RunOptions(load=OPTIONS)
    opened = load_encoder(Path(folders[kind]), OPTIONS)
    board = rank([bert, f"mine={folders[kind]}", {"held": opened}], data, baseline="mine", options=options)
    rows = {row.encoder: row for row in board.rows}
    assert set(rows) == {f"{bert}@3:mean", "mine", "held"}
    assert rows["mine"].scores == rows["held"].scores
    assert board.settings["baseline"] == "mine"
    assert f"{kind.capitalize()}Model('mine', " in repr(load_encoder(f"mine={folders[kind]}", OPTIONS))


class Counting:
    """An encoder of one's own, of two dimensions."""

    def __init__(self) -> None:
        self.texts = 0

    def encode_query(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        return np.array([[1.0, len(text)] for text in texts], np.float32)

    encode_document = encode_query


def test_a_baseline_is_one_of_the_encoders_by_its_name_or_as_the_object_itself(bert: str, tmp_path: Path) -> None:
    data, options = str(make_dataset(tmp_path / "tiny")), RunOptions(load=OPTIONS)
    board = rank([bert, f"mine={bert}@1:cls"], data, baseline="mine", options=options)
    assert board.settings["baseline"] == "mine@1:cls"
    assert {row.encoder for row in board.rows} == {f"{bert}@3:mean", "mine@1:cls"}
    with pytest.raises(CallError, match="baseline 'mine' names several encoders: expected one of"):
        rank([f"mine={bert}@1:cls", f"mine={bert}@2:cls"], data, baseline="mine", options=options)
    own = Counting()
    board = rank([bert, {"own": own}], data, baseline=own, options=options)
    assert board.settings["baseline"] == "own"
    assert len(board.rows) == 2


@pytest.mark.parametrize("name", ["a/b", "~x", "a b"])
def test_a_name_that_no_table_could_show_is_refused(name: str, bert: str, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="invalid name"):
        rank([{name: bert}], str(make_dataset(tmp_path / "tiny")), options=RunOptions(load=OPTIONS))


@pytest.mark.parametrize("kind", ["fused", "adapted"])
def test_one_string_gives_one_vector(kind: str, folders: dict[str, str]) -> None:
    encoder = load_encoder(folders[kind], OPTIONS)
    for encode in (encoder.encode, encoder.encode_query, encoder.encode_document):  # type: ignore[attr-defined]
        assert encode(TEXTS[0]) == pytest.approx(encode(TEXTS[:1])[0], abs=1e-6)
        assert encode(TEXTS).shape == encoder.encode_query(TEXTS).shape


def test_a_fusion_of_models_in_memory_and_of_specs(bert: str) -> None:
    first, second = load_encoder(f"{bert}@1:mean", OPTIONS), load_encoder(f"{bert}@3:cls", OPTIONS)
    fused = fuse([first, {"b": second}], options=OPTIONS)
    assert str(fused.fusion) == f"{bert}@1:mean+b@3:cls"
    by_spec = fuse([f"a={bert}@1:mean+b={bert}@3:cls"], options=OPTIONS)
    assert str(by_spec.fusion) == "a@1:mean+b@3:cls"
    assert fused.encode(TEXTS) == pytest.approx(by_spec.encode(TEXTS), abs=1e-6)
    with pytest.raises(CallError, match="expected single layers"):
        fuse([fused, first])
