"""What a leaderboard shows, in one or two sentences: layers, encoders side by side, or adaptors."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from probe.metrics.significance import holm
from probe.results.formats import (
    ALPHA,
    SIGNIFICANT,
    metric_title,
    show_interval,
    show_number,
    show_share,
    significant,
    test_words,
)
from probe.results.row import Row, describe_bits

__all__ = ["leaderboard_verdict"]

# A layer that scores no worse than this is said to be near.
_NEAR = 0.01
# Dimensions whose best adaptor is named.
_MOST_DIMS = 3


@dataclass(frozen=True)
class _Field:
    """The rows that can be compared.

    Attributes:
        baseline: What the others are tested against.
        rivals: The others, best first, collapsed ones left out.
        starred: Ranks of those whose difference is significant after Holm's correction.
        metric: As it is written in text.
    """

    baseline: Row
    rivals: tuple[Row, ...]
    starred: frozenset[int]
    metric: str

    def better(self) -> list[Row]:
        """Return those that are significantly better than the baseline."""
        return [row for row in self.rivals if row.rank in self.starred and (row.delta or 0) > 0]

    def worse(self) -> list[Row]:
        """Return those that are significantly worse than the baseline."""
        return [row for row in self.rivals if row.rank in self.starred and (row.delta or 0) < 0]

    def test(self, row: Row) -> str:
        """Return what the test says of a row's difference."""
        return test_words(row.p_value, row.rank in self.starred)


def leaderboard_verdict(rows: Sequence[Row], settings: dict[str, Any]) -> str:
    """Return what the rows show, and no more than they show.

    Args:
        rows: The rows of a leaderboard.
        settings: Its settings.
    """
    metric = str(settings["metric"])
    baseline = next((row for row in rows if row.encoder == settings["baseline"] and row.delta is None), None)
    if baseline is None:
        return "No baseline is among the rows, so that nothing can be compared."
    if baseline.collapsed:
        return f"Nothing can be compared: the vectors of the baseline {baseline.encoder} are all equal."
    rivals = tuple(row for row in rows if row.delta is not None and not row.collapsed)
    field = _Field(baseline, rivals, frozenset(significant(rows)), metric_title(metric))
    if not rivals:
        interval = "" if baseline.ci95 is None else f" (95% CI {show_interval(baseline.ci95)})"
        return (
            f"{baseline.encoder} has nothing to compare with: {field.metric} {baseline.scores[metric]:.4f}{interval}."
        )
    return _judge(field, settings)


def _judge(field: _Field, settings: dict[str, Any]) -> str:
    maps = [row for row in field.rivals if row.retention is not None]
    if maps:
        others = [row for row in field.rivals if row.adaptor is not None and row.retention is None]
        return f"{_judge_maps(maps)} {_judge_adaptors(field)}" if others else _judge_maps(maps)
    if any(row.is_compressed for row in field.rivals):
        return _judge_sizes(field)
    if "recommended" in settings:
        return _judge_adaptors(field)
    return _judge_layers(field) if _is_about_layers(field, settings["models"]) else _judge_encoders(field)


def _judge_sizes(field: _Field) -> str:
    """Return the smallest vectors that are not shown to be worse than the baseline, and the next smaller ones.

    Rows that are ranked again by float32 vectors need those as well, so they do not count as small.
    """
    stored = [row for row in field.rivals if row.is_compressed and not row.rescore]
    worse = {row.rank for row in field.worse()}
    good = [row for row in stored if row.rank not in worse]
    if not good:
        return f"All compressed vectors are significantly worse than the baseline {field.baseline.encoder}."
    best = min(good, key=lambda row: (row.bytes or 0, row.rank))
    words = (
        f"The smallest vectors that are not significantly worse than {field.baseline.encoder} have {best.bytes} bytes "
        f"({_describe_size(best)}): {_side(best.delta or 0)} it ({field.test(best)})."
    )
    smaller = [row for row in stored if (row.bytes or 0) < (best.bytes or 0)]
    if not smaller:
        return words
    following = min(smaller, key=lambda row: (-(row.bytes or 0), row.rank))
    return (
        f"{words} With {following.bytes} bytes ({_describe_size(following)}) it is {_gap(following.delta or 0)} lower."
    )


def _describe_size(row: Row) -> str:
    adaptor = f"{row.adaptor} to {row.dim} dimensions" if row.adaptor else f"{row.dim} dimensions"
    times = "" if row.compression is None else f", {row.compression:.3g} times smaller"
    return f"{adaptor}, {describe_bits(row)}{times}"


def _gap(difference: float) -> str:
    size = abs(difference)
    return f"{size:.3f}" if size >= 0.01 else f"{size:.4f}"


def _is_about_layers(field: _Field, models: Sequence[dict[str, Any]]) -> bool:
    """Return whether the baseline is a full model and the rows are its layers, perhaps with BM25 beside them."""
    full, below = field.baseline, _layers_below(field)
    whole = any(
        model["name"] == _model(full)
        and model["layers"] == full.layer
        and full.pooling in ("own", model["own_pooling"])
        for model in models
    )
    others = [row for row in field.rivals if row not in below and row.layer != full.layer and row.hookpoints]
    return whole and bool(below) and not others


def _layers_below(field: _Field) -> list[Row]:
    depth, model = field.baseline.layer, _model(field.baseline)
    if depth is None or model is None:
        return []
    return [row for row in field.rivals if _model(row) == model and row.layer is not None and row.layer < depth]


def _model(row: Row) -> str | None:
    return row.hookpoints[0].model if len(row.hookpoints) == 1 else None


def _judge_layers(field: _Field) -> str:
    below = _layers_below(field)
    depth = field.baseline.layer
    near = [row for row in below if (row.delta or 0) >= -_NEAR]
    if near:
        row = min(near, key=lambda row: (row.layer or 0, row.adaptor is not None, -(row.delta or 0)))
        is_better = row in field.better()
        place = f"is better than the full model by {_gap(row.delta or 0)}" if is_better else _describe_near(row)
        words = f"{_capital(_layer_name(row, below))} {place} ({field.test(row)}){_saving(row, ' and is ')}"
    else:
        row = below[0]
        words = f"No layer below {depth} scores within {_NEAR:g} of the full model; the nearest, "
        words += (
            f"{_layer_name(row, below)}, is {_gap(row.delta or 0)} worse ({field.test(row)}){_saving(row, ' and ')}"
        )
    above = [row for row in field.better() if row not in below]
    return words + "." + (f" {_describe_best(above, field)}." if above else "")


def _describe_near(row: Row) -> str:
    delta = row.delta or 0
    side = "equal" if delta == 0 else f"{_gap(delta)} {'higher' if delta > 0 else 'lower'}"
    return f"scores within {_NEAR:g} of the full model, {side}"


def _layer_name(row: Row, among: Sequence[Row]) -> str:
    several = len({one.pooling for one in among}) > 1
    pooling = f" ({row.pooling})" if several else ""
    return f"layer {row.layer}{pooling}" + (f" with its {row.adaptor}" if row.adaptor else "")


def _saving(row: Row, before: str) -> str:
    """Return how much cheaper than the baseline a row is, where that is known."""
    if row.cost is None or row.cost >= 0.995:
        return ""
    saved = "over 99%" if row.cost < 0.01 else f"{1 - row.cost:.0%}"
    return f"{before}{saved} cheaper"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _judge_encoders(field: _Field) -> str:
    better, best = field.better(), field.rivals[0]
    name, worse, many = _name(best, field), len(field.worse()), len(field.rivals)
    if better:
        return _describe_best(better, field) + "."
    if (best.delta or 0) > 0:
        words = f"No encoder is significantly better than the baseline {field.baseline.encoder}: the best, {name}, "
        words += f"is {_gap(best.delta or 0)} higher ({field.test(best)})"
    elif worse == many:
        others = {1: f"than {name}", 2: "than both others"}.get(many, f"than all {many} others")
        words = f"The baseline {field.baseline.encoder} is significantly better {others}"
        next_best = ", which is" if many == 1 else f"; the next, {name}, is"
        return f"{words}{next_best} {_gap(best.delta or 0)} lower{_saving(best, ' and ')}."
    else:
        gap = "equal" if not best.delta else f"{_gap(best.delta)} lower"
        words = f"The baseline {field.baseline.encoder} scores highest; the next, {name}, is {gap} ({field.test(best)})"
        words += _saving(best, " and ")
    return f"{words}; {worse} of {many} are significantly worse." if worse else f"{words}."


def _describe_best(better: Sequence[Row], field: _Field) -> str:
    """Return which row is significantly better than the baseline, by how much and at what cost."""
    row = better[0]
    cost = "" if row.cost is None else f" at {show_share(row.cost)} of its cost"
    more = f"; so are {len(better) - 1} others" if len(better) > 2 else "; so is one other" if len(better) == 2 else ""
    return (
        f"{_name(row, field)} is significantly better than the baseline {field.baseline.encoder}, "
        f"by {_gap(row.delta or 0)} {field.metric}{cost}{more}"
    )


def _name(row: Row, field: _Field) -> str:
    """Return the encoder; with its adaptor where others differ in nothing else."""
    same = [one for one in (field.baseline, *field.rivals) if one.encoder == row.encoder]
    return f"{row.encoder} with {_adaptor_name(row)}" if row.adaptor and len(same) > 1 else row.encoder


def _adaptor_name(row: Row) -> str:
    return f"{row.adaptor}" + ("" if row.labels == "none" else f" (labels {row.labels})")


def _judge_maps(maps: Sequence[Row]) -> str:
    """Return what the best map between models keeps of each of them alone."""
    kept = [one for row in maps for one in row.retention or ()]
    tested = {number: one.p_value for number, one in enumerate(kept) if one.p_value is not None}
    starred = [number for number, p in zip(tested, holm([*tested.values()]), strict=True) if p < ALPHA]
    words = [
        f"{show_number(one.share, '.1%')} of {one.encoder} alone ({test_words(one.p_value, number in starred)})"
        for number, one in enumerate(maps[0].retention or ())
    ]
    more = f"; {len(maps) - 1} more in the table" if len(maps) > 1 else ""
    is_worse = 0 in starred and (kept[0].share or 0) < 1
    advice = f" It is worse than {kept[0].encoder} alone, whose own index is the better way." if is_worse else ""
    return f"The {'best ' if more else ''}map {maps[0].encoder} keeps {' and '.join(words)}{more}.{advice}"


def _judge_adaptors(field: _Field) -> str:
    adapted = [row for row in field.rivals if row.adaptor is not None and row.dim is not None and not row.retention]
    if not adapted:
        return "No adaptor can be compared: the vectors of all are equal."
    several = len({row.encoder for row in (field.baseline, *field.rivals)}) > 1
    corrected = significant(adapted, lambda row: row.pca_p_value)
    best: dict[int, Row] = {}
    for row in adapted:
        best.setdefault(row.dim or 0, row)
    dims = sorted(best, reverse=True)
    frozen = f"the baseline {field.baseline.encoder}" if several else "the frozen encoder"
    parts: list[str] = []
    for dim in dims[:_MOST_DIMS]:
        row = best[dim]
        name = _adaptor_name(row) + (f" on {row.encoder}" if several else "")
        parts.append(f"at {dim}{'' if parts else ' dimensions'}: {name}, {_versus(row, field, frozen, pca=corrected)}")
    rest = f"; {len(dims) - _MOST_DIMS} more dimensions are in the table" if len(dims) > _MOST_DIMS else ""
    return f"Best {'; '.join(parts)}{rest}."


def _versus(row: Row, field: _Field, frozen: str, *, pca: Collection[int]) -> str:
    """Return how an adaptor does against the frozen encoder, and against PCA where there is one beside it."""
    first, test = f"{_side(row.delta or 0)} {frozen}", field.test(row)
    if row.pca_delta is None:
        return f"{first} ({test})"
    second, against_pca = f"{_side(row.pca_delta)} PCA", test_words(row.pca_p_value, row.rank in pca)
    if test == against_pca == SIGNIFICANT:
        return f"{first} and {second} (both significant)"
    return f"{first} ({test}) and {second} ({against_pca})"


def _side(difference: float) -> str:
    return "level with" if difference == 0 else f"{_gap(difference)} {'above' if difference > 0 else 'below'}"
