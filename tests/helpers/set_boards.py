"""Leaderboards of data sets that no model has read, with scores that are known, and the matrix of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from probe.experiments.matrix import join_leaderboards
from probe.results.leaderboard import Leaderboard, Row
from probe.results.matrix import DatasetMatrix
from probe.results.query_examples import Example, Examples, Finding
from probe.results.row import Reading

__all__ = ["LAYERS", "NAMES", "RIVALS", "make_board", "make_matrix", "make_row"]

NAMES = (
    *("arguana", "climate-fever", "cqadupstack/programmers", "dbpedia-entity", "fever", "fiqa", "hotpotqa"),
    *("msmarco", "nfcorpus", "nq", "quora", "scidocs", "scifact", "trec-covid", "webis-touche2020"),
)
QUERIES = 40
BASELINE = "tiny@4:mean"


def make_row(encoder: str, **more: Any) -> Row:
    """Return a row without scores; the layer and the pooling of a single hookpoint are read from its name."""
    model, _, rest = encoder.rpartition("@")
    layer, _, pooling = rest.partition(":")
    is_layer = bool(model) and "+" not in encoder and layer.isdigit()
    reads = (Reading(model, int(layer), pooling),) if is_layer else ()
    known = {"layer": int(layer), "pooling": pooling, "cost": 0.1 + int(layer)} if is_layer else {}
    return Row(1, encoder, **{"dim": 8, "parameters": 1_000_000, "hookpoints": reads, **known, **more})


LAYERS = tuple(make_row(f"tiny@{layer}:mean") for layer in (4, 0, 1, 2, 3))
RIVALS = (
    make_row(BASELINE),
    make_row("./models/better", cost=1.0),
    make_row("tiny@4:cls", collapsed=False),
    make_row(BASELINE, adaptor="lens", transductive=True),
)


def make_board(
    name: str, rows: Sequence[Row] = LAYERS, *, seed: int = 0, saved: bool = False, **settings: Any
) -> Leaderboard:
    """Return the leaderboard of a data set: row number n scores 0.1 n less than the first, with noise.

    Args:
        name: The data set.
        rows: What is ranked, the baseline first.
        seed: Random seed of the noise.
        saved: Whether the scores of the queries are missing, as in a file.
        settings: Settings that differ.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()
    rng = np.random.default_rng((seed, int(digest[:6], 16)))
    scores = np.array([0.7 - 0.1 * number + rng.normal(0, 0.05, QUERIES) for number in range(len(rows))])
    means = scores.mean(axis=1)
    order = sorted(range(len(rows)), key=lambda number: -means[number])
    ranked = tuple(
        replace(
            rows[number],
            rank=rank,
            scores={"ndcg@10": float(means[number])},
            ci95=(float(means[number]) - 0.02, float(means[number]) + 0.02),
            delta=float(means[number] - means[0]) if number else None,
            p_value=(0.0001 if number > 1 else 0.8) if number else None,
        )
        for rank, number in enumerate(order, 1)
    )
    known = None if saved else tuple(tuple(map(float, scores[number])) for number in order)
    data = _data(name, digest)
    examples = Examples(
        (Example("q1", f"a question on {name}", "worst", {"d1": 1}, _findings(len(rows))),), {"d1": f"a text of {name}"}
    )
    return Leaderboard("probe rank", "2030-01-01", {**_settings(data), **settings}, ranked, examples, known)


def make_matrix(count: int = 3, rows: Sequence[Row] = LAYERS, **settings: Any) -> DatasetMatrix:
    """Return the matrix of several such leaderboards."""
    return join_leaderboards({name: make_board(name, rows, **settings) for name in NAMES[:count]})


def _findings(count: int) -> tuple[Finding, ...]:
    return tuple(Finding(rank, 1 / rank, ("d1",)) for rank in range(1, count + 1))


def _data(name: str, digest: str) -> dict[str, Any]:
    counts = {"documents": 1234, "queries": QUERIES, "whole_documents": None, "whole_queries": None, "images": None}
    rules = {"title_rule": "title + ' ' + text", "id_rule": "own id dropped", "defects": []}
    hashes = {"text_sha256": digest, "qrels_sha256": digest[::-1]}
    return {"name": name, "split": "test", "limited": False, "synthetic": None, **counts, **rules, **hashes}


def model_of(**more: Any) -> Mapping[str, Any]:
    """Return the settings of the model."""
    hashes = {"weights_sha256": "a" * 64, "tokenizer_sha256": "b" * 64, "vector_key": "c" * 64}
    run = {"max_tokens": 256, "dtype": "float32", "device": "cpu", "batches": "4096 tokens", "rounding": "float16"}
    prompts = {"query_prompt": "", "document_prompt": "", "own_pooling": "mean", "similarity": "cosine"}
    cut = {"truncated_documents": 0, "truncated_queries": 0, "notes": [], "layers": 4}
    return {
        "name": "tiny",
        "hub_id": "a/tiny",
        "revision": None,
        "path": None,
        **hashes,
        **run,
        **prompts,
        **cut,
        **more,
    }


def _settings(data: dict[str, Any]) -> dict[str, Any]:
    versions = {"torch": "2"}
    statistics = {"interval": "bootstrap", "test": "paired", "resamples": 10, "seed": 0, "versions": versions}
    ranked = {"metric": "ndcg@10", "metrics": ["ndcg@10"], "baseline": BASELINE}
    how = {"similarity": "cosine", "ties": "id"}
    return {**ranked, **how, "models": [dict(model_of())], "dataset": data, "statistics": statistics}
