"""`adaptors.fit`: one adaptor on one encoder, from names or objects; the result encodes, shows and saves itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import WIDTH, make_texts

from adaptors import fit, load_encoder
from probe import LoadOptions, RunOptions, load_dataset
from probe.errors import CallError

TEXTS = make_texts(6)
OPTIONS = RunOptions(load=LoadOptions(dtype="float32", device="cpu"))


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_dataset(tmp_path_factory.mktemp("data") / "tiny"))


def test_a_fit_is_an_encoder_with_its_board_and_opens_from_its_folder(bert: str, data: str, tmp_path: Path) -> None:
    fitted = fit("lens", f"mine={bert}@1:mean", data, options=OPTIONS)
    assert {row.encoder for row in fitted.board.rows} == {"mine@1:mean", "mine@3:mean"}
    assert fitted.encode(TEXTS).shape == (len(TEXTS), WIDTH)
    saved = load_encoder(fitted.save(tmp_path / "lens"), OPTIONS.load)
    assert saved.encode_query(TEXTS) == pytest.approx(fitted.encode_query(TEXTS), abs=1e-5)
    with pytest.raises(CallError, match="exists"):
        fitted.save(tmp_path / "lens")


def test_objects_are_fitted_as_what_they_were_loaded_from(bert: str, data: str) -> None:
    held, texts = SentenceTransformer(bert, device="cpu"), load_dataset(data)
    by_name = fit("pca", bert, data, dims=4, options=OPTIONS)
    by_object = fit("pca", held, texts, dims=[8, 4], options=OPTIONS)
    assert by_name.encode("ice").shape == (4,)
    assert by_object.encode("ice").shape == (8,)
    score = {row.dim: row.scores["ndcg@10"] for row in by_object.board.rows}
    assert score[4] == pytest.approx(next(row.scores["ndcg@10"] for row in by_name.board.rows if row.dim == 4))


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("lense", "minilm", "unknown adaptor 'lense'"),
        ("lens", "{bert}@1-2", "means 2 encoders"),
        ("lens", 5, "encoder: found int"),
    ],
)
def test_a_wrong_fit_is_refused(bert: str, data: str, kind: str, spec: str, words: str) -> None:
    with pytest.raises(CallError, match=words):
        fit(kind, spec.format(bert=bert) if isinstance(spec, str) else spec, data, options=OPTIONS)


def test_judgements_need_the_name_of_the_data_set(bert: str, data: str) -> None:
    with pytest.raises(CallError, match="give its name or path"):
        fit("linear", bert, load_dataset(data), labels="train", options=OPTIONS)
