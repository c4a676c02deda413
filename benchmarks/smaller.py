"""Smaller encoders beside what they were made from, and a static cut beside model2vec's: scores, sizes and speed."""

import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import adaptors
import surgery
from benchmarks.inputs import Skipped, dataset_name, first_texts
from benchmarks.timing import Comparison
from probe.experiments.options import RunOptions
from probe.models.options import LoadOptions
from probe.models.sources import find_source
from probe.sources.loading import load_dataset
from surgery.speed import Speed

__all__ = ["static_against_model2vec", "static_speed", "trimmed_minilm"]

# Texts of another kind, which the scored documents say nothing about.
OTHER_TEXTS = "docstrings"
QUERIES, DOCUMENTS, ROUNDS = 30, 100, 5
EXACT = LoadOptions(dtype="float32", device="cpu")


def static_against_model2vec() -> Iterator[Comparison]:
    """Static cuts of MiniLM, fitted to the documents that are scored or to others, and model2vec's, which sees none."""
    encoders = {
        "static-these-texts": adaptors.fit_static("minilm", dataset_name()),
        "static-other-texts": adaptors.fit_static("minilm", OTHER_TEXTS),
        "model2vec-all-dimensions": _distill("auto"),
        "model2vec-256": _distill(256),
    }
    words = "higher is better; the first is transductive, model2vec's default is 256 dimensions"
    yield _compare_scores("static cut", encoders, words)


def static_speed() -> Iterator[Comparison]:
    """A saved static cut of MiniLM beside MiniLM, by sentence-transformers."""
    with tempfile.TemporaryDirectory() as scratch:
        static = adaptors.save_static(adaptors.fit_static("minilm", OTHER_TEXTS), Path(scratch, "static"))
        yield from _compare_speeds("static cut", {"static": static, "minilm": find_source("minilm").folder})


def trimmed_minilm() -> Iterator[Comparison]:
    """MiniLM without the tokens that the data set never needs: scores, size of the weights, speed."""
    trimmed = surgery.trim("minilm", dataset_name())
    yield _compare_scores("trimmed minilm", {"trimmed": trimmed, "minilm": "minilm"}, "1 is aimed at: equal vectors")
    with tempfile.TemporaryDirectory() as scratch:
        whole = find_source("minilm").folder
        folder = surgery.save(trimmed, Path(scratch, "trimmed"))
        half = surgery.save(trimmed, Path(scratch, "half"), weights_dtype="float16")
        folders = {"trimmed, float16": half, "trimmed": folder, "minilm": whole}
        yield Comparison("weights", {name: [_megabytes(one)] for name, one in folders.items()}, {}, unit="MB")
        yield from _compare_speeds("trimmed minilm", {"trimmed": folder, "minilm": whole})


def _distill(dimensions: int | str) -> Any:
    """Return MiniLM distilled by model2vec, as a SentenceTransformer.

    Raises:
        Skipped: model2vec is not installed.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    try:
        from model2vec.distill import distill
    except ImportError as error:
        raise Skipped("model2vec is not installed: pip install 'encoder-surgery[bench]'") from error
    made = distill(str(find_source("minilm").folder), device="cpu", pca_dims=dimensions, quantize_to="float32")
    table = StaticEmbedding(made.tokenizer, embedding_weights=made.embedding)
    return SentenceTransformer(modules=[table, Normalize()], device="cpu")


def _compare_scores(name: str, encoders: dict[str, Any], words: str) -> Comparison:
    board = adaptors.rank(encoders, dataset_name(), options=RunOptions(load=EXACT))
    scores = {row.encoder.partition("@")[0]: row.scores["ndcg@10"] for row in board.rows}
    amounts = {label: [scores[label]] for label in encoders}
    peers = tuple(label for label in encoders if label.startswith("model2vec"))
    return Comparison(name, amounts, {}, unit="nDCG@10", words=words, peers=peers, more_is_better=True)


def _compare_speeds(name: str, folders: dict[str, Path]) -> Iterator[Comparison]:
    from sentence_transformers import SentenceTransformer

    encoders = {label: SentenceTransformer(str(folder), device="cpu") for label, folder in folders.items()}
    queries = [text for _, text in islice(load_dataset(dataset_name()).queries, QUERIES)]
    found = surgery.measure_speed(encoders, queries, first_texts(DOCUMENTS), rounds=ROUNDS)
    yield Comparison(f"{name}, one query", {label: list(speed.query_seconds) for label, speed in found.items()}, {})
    yield Comparison(
        f"{name}, {DOCUMENTS} documents",
        {label: list(speed.document_seconds) for label, speed in found.items()},
        {},
        words=_documents_per_second(list(found), list(found.values())),
    )


def _documents_per_second(names: Sequence[str], speeds: Sequence[Speed]) -> str:
    rates = ", ".join(f"{name} {speed.docs_per_second:,.0f}" for name, speed in zip(names, speeds, strict=True))
    return f"documents per second: {rates}; {speeds[0].ratio_to(speeds[-1]).documents} times as many"


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6
