"""How numbers and settings look as text, whatever table they stand under."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from probe.layers.hookpoint import model_of, split_route, split_tower
from probe.metrics.significance import holm

__all__ = [
    "ALPHA",
    "EMPTY",
    "SIGNIFICANT",
    "brief_data_line",
    "brief_model_line",
    "brief_statistics_line",
    "curve_lines",
    "data_line",
    "join_lines",
    "join_marks",
    "join_names",
    "metric_title",
    "model_lines",
    "p_words",
    "retrieval_data_line",
    "round_steps",
    "series_name",
    "show_bar",
    "show_interval",
    "show_number",
    "show_p_value",
    "show_share",
    "show_signed_interval",
    "show_sparks",
    "significant",
    "statistics_lines",
    "test_words",
]

ALPHA = 0.05
# `probe.models.info.NO_LIMIT`, whose file imports torch.
_NO_LIMIT = 10**9
# A cell without a value.
EMPTY = "–"
SIGNIFICANT = "significant"

_BLOCKS = " ▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"
_BAR_WIDTH = 8
# This many layers make a curve; fewer are read better as numbers.
_FEWEST_LAYERS = 3
# Models that are named in one line; the others are counted.
_MOST_MODELS = 3
_LONGEST_NAME = 24
_FEW_TICKS = 7


class Tested(Protocol):
    """A row with a rank and the p-value of its test."""

    @property
    def rank(self) -> int:
        """1 for the best."""

    @property
    def p_value(self) -> float | None:
        """Uncorrected; None where nothing was tested."""


Row = TypeVar("Row", bound=Tested)


def show_share(cost: float) -> str:
    """Return a cost as a share of the baseline's; next to nothing is not nothing."""
    return "under 1%" if cost < 0.005 else f"{cost:.0%}"


def show_number(value: float | None, form: str) -> str:
    """Return a number in a format, or a dash for None."""
    if value is None:
        return EMPTY
    text = format(value, form)
    return format(0.0, form) if text.startswith("-") and not text.strip("-0.%") else text


def show_p_value(value: float | None, *, starred: bool = False) -> str:
    """Return a p-value to three digits, or a dash for None; a star says that it stands after correction."""
    text = EMPTY if value is None else "<.001" if value < 0.001 else f"{value:.3f}"
    return text + ("*" if starred else "")


def p_words(p_value: float) -> str:
    """Return a p-value as a statement: `p < .001` or `p = 0.012`."""
    shown = show_p_value(p_value)
    return f"p < {shown[1:]}" if shown.startswith("<") else f"p = {shown}"


def show_interval(bounds: tuple[float, float] | None) -> str:
    """Return both ends of an interval, or a dash for None."""
    return EMPTY if bounds is None else f"{bounds[0]:.3f}–{bounds[1]:.3f}"


def show_signed_interval(bounds: tuple[float, float] | None) -> str:
    """Return both ends of an interval of differences, or a dash for None."""
    return EMPTY if bounds is None else f"{bounds[0]:+.3f} to {bounds[1]:+.3f}"


def show_bar(value: float, top: float) -> str:
    """Return a bar whose length says how large `value` is, `top` being the longest."""
    eighths = round(_BAR_WIDTH * 8 * value / top) if top > 0 else 0
    full, rest = divmod(max(0, eighths), 8)
    return "█" * full + (_BLOCKS[rest] if rest else "")


def show_sparks(values: Iterable[float], top: float) -> str:
    """Return a character per value whose height says how large it is, `top` being the highest."""
    return "".join(_SPARKS[max(0, min(7, int(8 * value / top)))] for value in values)


def metric_title(metric: str) -> str:
    """Return a metric's name as papers write it: nDCG@10."""
    return metric.replace("ndcg", "nDCG").replace("map", "MAP").replace("mrr", "MRR")


def series_name(encoder: str, pooling: str | None) -> str:
    """Return what the layers of one model or tower under one pooling have in common: `minilm:mean`."""
    return f"{model_of(encoder)}:{pooling}"


def join_marks(marks: dict[str, bool]) -> str:
    """Return those marks that hold, for a row's note."""
    return ", ".join(mark for mark, holds in marks.items() if holds)


def curve_lines(points: Iterable[tuple[str, int, float]]) -> list[str]:
    """Return a spark line per curve, from the first layer to the last, of curve names, layers and scores."""
    curves: dict[str, dict[int, float]] = {}
    for name, layer, score in points:
        curves.setdefault(name, {})[layer] = score
    return [_curve_line(name, scores) for name, scores in curves.items() if len(scores) >= _FEWEST_LAYERS]


def _curve_line(name: str, scores: dict[int, float]) -> str:
    layers = sorted(scores)
    sparks = show_sparks((scores[layer] for layer in layers), max(scores.values()) or 1.0)
    return f"layer curve {name}  {layers[0]} {sparks} {layers[-1]}"


def _own_p_value(row: Tested) -> float | None:
    return row.p_value


def significant(rows: Sequence[Row], p_of: Callable[[Row], float | None] = _own_p_value) -> set[int]:
    """Return the ranks whose difference is significant after Holm's correction over the table.

    Args:
        rows: The rows of the table.
        p_of: Returns the uncorrected p-value of a row; default: of the test against the baseline.
    """
    tested = [(row.rank, p) for row in rows if (p := p_of(row)) is not None]
    corrected = holm([p for _, p in tested])
    return {rank for (rank, _), p in zip(tested, corrected, strict=True) if p < ALPHA}


def test_words(p_value: float | None, starred: bool) -> str:
    """Return what a paired test says, corrected: `significant`, or the p-value that is not."""
    if p_value is None:
        return "not tested"
    if starred:
        return SIGNIFICANT
    corrected = " after Holm's correction" if p_value < ALPHA else ""
    return f"not significant{corrected}, p {show_p_value(p_value)}"


def data_line(data: dict[str, Any], count: str, more: str, *, judged: str) -> str:
    """Return the line on the data, for a footer.

    Args:
        data: The data set's settings.
        count: What there is of it; `(limited)` is said behind it.
        more: More about it.
        judged: What has a hash beside the text: `qrels`, `labels`, `scores`.
    """
    limited = " (limited)" if data["limited"] or data.get("whole_documents") else ""
    synthetic = f" (SYNTHETIC: {data['synthetic']})" if data["synthetic"] else ""
    words = "relevance labels" if judged == "qrels" else judged
    hashes = f"text {data['text_sha256'][:12]}, {words} {data[f'{judged}_sha256'][:12]}"
    return f"data: {count}{limited}{more}{synthetic}; {hashes}"


def retrieval_data_line(data: dict[str, Any]) -> str:
    """Return what was searched, for a footer."""
    count = f"{data['name']} ({data['split']}), {data['documents']} documents"
    return data_line(data, count, f", {data['queries']} queries with relevance labels", judged="qrels")


def brief_data_line(data: dict[str, Any]) -> str:
    """Return what was searched, in short; its name is in the title."""
    return f"data: {data['documents']} documents, {data['queries']} queries with relevance labels"


def brief_model_line(models: Sequence[dict[str, Any]]) -> str:
    """Return how models ran, in short."""
    if len(models) == 1:
        model = models[0]
        how = f"own pooling {model['own_pooling']}, {_input_length(model)}, {model['dtype']} on {model['device']}"
        return f"model: {_short_name(_full_name(model))}, {how}"
    named = [f"{_short_name(_full_name(model))} ({_input_length(model)})" for model in models[:_MOST_MODELS]]
    more = f" and {len(models) - _MOST_MODELS} more" if len(models) > _MOST_MODELS else ""
    return f"models: {', '.join(named)}{more}"


def _full_name(model: dict[str, Any]) -> str:
    """Return a model's name, and its folder or hub id where it was given another name."""
    place = _named_place(model)
    return f"{model['name']} = {place}" if place else str(model["name"])


def _named_place(model: dict[str, Any]) -> str | None:
    """Return the folder of a model that was given a name of its own; None of any other."""
    path = model.get("path")
    whole = split_route(split_tower(str(model["name"]))[0])[0]
    return path if path and path != whole else None


def _input_length(model: dict[str, Any]) -> str:
    most: int = model["max_tokens"]
    return "any length" if most >= _NO_LIMIT else f"{most} tokens"


def _short_name(name: str) -> str:
    """Return a model's name, or the end of one that is long: a table has the whole."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME:]}"


def brief_statistics_line() -> str:
    """Return how intervals and tests were made, in short."""
    return f"95% CI: bootstrap; p: paired test, *: p < {ALPHA} (Holm)"


def model_lines(models: Iterable[dict[str, Any]]) -> list[str]:
    """Return how models ran, for a footer."""
    return [line for model in models for line in _model_lines(model)]


def _model_lines(model: dict[str, Any]) -> list[str]:
    where = model["hub_id"] or _named_place(model) or "folder"
    if model["revision"]:
        where += f" @ {model['revision'][:12]}"
    if "prompt" in model:
        prompts, cut = f"prompt {model['prompt']!r}", f"truncated: {model['truncated_texts']} texts"
    else:
        prompts = f"prompts: query {model['query_prompt']!r}, document {model['document_prompt']!r}"
        cut = f"truncated: {model['truncated_documents']} documents, {model['truncated_queries']} queries"
    similarity = f", own similarity {model['similarity']}" if model.get("similarity") else ""
    return [
        f"model: {model['name']} ({where}), weights {model['weights_sha256'][:12]}, tokenizer "
        f"{model['tokenizer_sha256'][:12]}; own pooling {model['own_pooling']}{similarity}; {prompts}",
        f"{model['name']}: {_input_length(model)} ({cut}); {model['dtype']} on {model['device']} in "
        f"batches of {model['batches']}; pooled and scored in float32, states rounded to {model['rounding']}; "
        f"vector key {model['vector_key'][:12]}",
        *[f"{model['name']}: {note}" for note in model["notes"]],
    ]


def statistics_lines(settings: dict[str, Any]) -> list[str]:
    """Return how intervals and tests were made, and by which versions, for a footer."""
    statistics = settings["statistics"]
    return [
        f"CI: {statistics['interval']}; p: {statistics['test']}, against {settings['baseline']}; "
        f"{statistics['resamples']} resamples, seed {statistics['seed']}; * = p < {ALPHA} after Holm's correction",
        "versions: " + ", ".join(f"{name} {number}" for name, number in statistics["versions"].items()),
    ]


def join_names(names: Sequence[str]) -> str:
    """Return names in words, such as `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def join_lines(several: Mapping[str, Sequence[str]]) -> list[str]:
    """Return lines on several data sets, by name: once where all have the same, otherwise with the name."""
    first = dict.fromkeys(next(iter(several.values())))
    shared = [line for line in first if all(line in own for own in several.values())]
    own = [f"{name}: {line}" for name, lines in several.items() for line in lines if line not in shared]
    return [*shared, *own]


def round_steps(least: float, top: float) -> list[float]:
    """Return round values from the least to the greatest, in steps of 1, 2 and 5 where there is room for them."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(top)) + 1)
    for steps in ((1, 2, 5), (1,)):
        found = [step * 10.0**power for power in powers for step in steps]
        found = [value for value in found if 0.999 * least <= value <= 1.001 * top]
        if len(found) <= _FEW_TICKS:
            break
    return found
