"""Results of searches for a smaller model that no search has made."""

from typing import Any

from set_boards import make_board, model_of

from probe.results.query_examples import Example, Examples, Finding
from probe.results.slim import CANDIDATE, FULL, WINNER, SlimResult, SlimRow

__all__ = ["make_slim", "make_slim_row", "slim_examples"]

# Blocks, megabytes and estimate of the candidates, the largest first.
_CANDIDATES = ((4, 61.7, 0.992), (3, 54.6, 0.981), (2, 19.3, 0.952), (1, 47.5, 0.871), (0, 3.9, 0.702))


def make_slim_row(blocks: int, megabytes: float, estimate: float, **more: Any) -> SlimRow:
    """Return the row of a candidate."""
    known = {
        "model": f"{blocks} block{'s' * (blocks > 1)}" if blocks else "static",
        "role": CANDIDATE,
        "tokens": 30522,
        "dim": 384,
        "parameters": int(megabytes * 250_000),
        "speed": 6 / (blocks + 0.5),
        "ms_per_query": 0.5 + 1.2 * blocks,
        "ms_per_document": 0.2 + 2.5 * blocks,
        "steps": 400 * blocks or None,
    }
    return SlimRow(blocks=blocks, megabytes=megabytes, estimate=estimate, **{**known, **more})


def slim_examples() -> Examples:
    """Return a query that lost and one that gained."""
    queries = [
        Example(f"q{number}", f"a question that {why}", why, {"d1": 1}, tuple(_find(scores)))
        for number, (why, scores) in enumerate({"lost": (1.0, 0.43), "gained": (0.5, 0.63)}.items())
    ]
    return Examples(tuple(queries), {"d1": "a text that answers", "d2": "a text that does not"})


def _find(scores: tuple[float, float]) -> list[Finding]:
    return [Finding(rank, score, ("d1", "d2") if score > 0.5 else ("d2", "d1")) for rank, score in enumerate(scores, 1)]


def make_slim(
    name: str = "all-MiniLM-L6-v2",
    *,
    p_value: float | None = 0.0004,
    unmet: tuple[str, ...] = (),
    examples: Examples | None = None,
    **settings: Any,
) -> SlimResult:
    """Return the result of a search that kept two blocks.

    Args:
        name: The full model.
        p_value: Of the test of the best candidate; None for a goal that demands no quality.
        unmet: Demands that are not shown to be met.
        examples: Queries to look at.
        settings: Settings that differ.
    """
    full = make_slim_row(6, 90.9, 1.0, model=name, role=FULL, front=True, speed=1.0, steps=None)
    tested = {"scores": {"ndcg@10": 0.6912}, "ci95": (0.642, 0.741), "delta": -0.0088, "p_value": p_value}
    full = SlimRow(**{**vars(full), "scores": {"ndcg@10": 0.7}, "ci95": (0.651, 0.749)})
    rows = [
        make_slim_row(blocks, size, estimate, front=blocks not in (1,), **(_best(tested) if blocks == 2 else {}))
        for blocks, size, estimate in _CANDIDATES
    ]
    return SlimResult(
        "surgery slim all-MiniLM-L6-v2 -d notes --keep 0.95",
        "2030-01-01",
        {**_settings(name, p_value), "unmet": list(unmet), **settings},
        (full, *rows),
        "" if unmet else "small",
        examples,
    )


def _best(tested: dict[str, Any]) -> dict[str, Any]:
    return {"role": WINNER, "model": "2 blocks, 8,000 tokens", "tokens": 8000, **tested}


def _settings(name: str, p_value: float | None) -> dict[str, Any]:
    board = make_board("notes").settings
    quality = "keep 0.95 of the full model's score"
    return {
        "metric": "ndcg@10",
        "goal": "at most 20 MB of weights" if p_value is None else quality,
        "margin": None if p_value is None else 0.035,
        "resolution": 0.018,
        "remarks": [],
        "labels": "none",
        "basis": "200 queries made of the documents",
        "texts": 12345,
        "minutes": 4.0,
        "dims": None,
        "weights_dtype": "float32",
        "bias": True,
        "seed": 0,
        "timing": "sentence-transformers in float32 on the CPU, in turns: 16 queries one by one, 64 documents in "
        "batches of 32",
        "models": [dict(model_of(name=name))],
        "dataset": board["dataset"],
        "statistics": board["statistics"],
    }
