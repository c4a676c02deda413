"""Train a linear probe on every layer of a model, in one pass over labelled texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from probe.class_scores import MEASURES
from probe.classification_result import ClassificationResult
from probe.classify_ranking import rank_probes
from probe.errors import CallError, DataError
from probe.hookpoints import with_full_model
from probe.labelled_texts import LabelledTexts
from probe.linear_probe import INNER_FOLDS, MOST_STEPS, PENALTIES, TOLERANCE, Design, fewest_texts
from probe.provenance import text_model_settings, text_statistics_settings
from probe.reader import LayerReader
from probe.states import Progress, RunContext, read_texts, silent
from probe.store import Store

__all__ = ["ClassifyOptions", "classify_layers"]

_TEST = "two-sided paired randomisation over texts"
_LIBRARIES = ("scikit-learn", "scipy", "numpy")


@dataclass(frozen=True)
class ClassifyOptions:
    """How to train and judge probes.

    Attributes:
        design: Metric, folds and seed.
        command: What made the result, kept in it.
        store: Where states are read and kept, if anywhere.
        progress: Told about every batch and every probe.
    """

    design: Design = field(default_factory=Design)
    command: str = ""
    store: Store | None = None
    progress: Progress = silent


def classify_layers(
    reader: LayerReader,
    texts: LabelledTexts,
    layers: str = "all",
    poolings: Sequence[str] = ("own",),
    options: ClassifyOptions | None = None,
) -> ClassificationResult:
    """Train a linear probe on every layer of one model; the full model is always among the rows.

    Args:
        reader: The model's reader.
        texts: Texts with labels.
        layers: `all`, `0-6` or `1,3,5`.
        poolings: Poolings to read at every layer; `own` is the model's.
        options: How to train and judge.

    Returns:
        The probes, ranked, with a row for the commonest label and one for shuffled labels.

    Raises:
        CallError: A layer, a pooling or an option is wrong.
        DataError: A label has too few texts.
    """
    options = options or ClassifyOptions()
    _check(texts, options.design)
    points, full = with_full_model(reader.model, layers, poolings)
    layer_poolings = [point.layer_pooling for point in points]
    states, truncated = read_texts(
        reader, [(texts.name, texts.texts)], layer_poolings, RunContext(options.store, options.progress)
    )
    vectors = {point: states[point.layer_pooling] for point in points}
    rows = rank_probes(vectors, full, texts.labels, options.design, options.progress)
    settings = {
        "metric": options.design.metric,
        "baseline": str(full),
        "probe": _describe(options.design),
        "models": [text_model_settings(reader.model, [texts.texts], truncated, reader.token_budget)],
        "dataset": _dataset_settings(texts),
        "statistics": text_statistics_settings("texts", _TEST, options.design.seed, _LIBRARIES),
    }
    return ClassificationResult(options.command, datetime.now(UTC).isoformat(timespec="seconds"), settings, rows)


def _check(texts: LabelledTexts, design: Design) -> None:
    if design.metric not in MEASURES:
        raise CallError(f"unknown metric '{design.metric}': expected one of {', '.join(MEASURES)}")
    if design.folds < 2:
        raise CallError(f"--folds {design.folds} is out of range: expected at least 2")
    fewest = fewest_texts(design.folds)
    few = {name: count for name, count in texts.classes.items() if count < fewest}
    if few:
        name, count = min(few.items(), key=lambda item: item[1])
        others = f" (and {len(few) - 1} other labels)" if len(few) > 1 else ""
        raise DataError(
            f"the label '{name}'{others} has {count} of at least {fewest} texts that {design.folds} folds need: "
            "add texts, take fewer --folds, or leave the label out"
        )


def _describe(design: Design) -> dict[str, Any]:
    return {
        "classifier": "logistic regression (L2, lbfgs) on standardised states",
        "folds": design.folds,
        "inner_folds": INNER_FOLDS,
        "grid": list(PENALTIES),
        "chosen_by": design.metric,
        "tolerance": TOLERANCE,
        "most_steps": MOST_STEPS,
        "seed": design.seed,
    }


def _dataset_settings(texts: LabelledTexts) -> dict[str, Any]:
    return {
        "name": texts.name,
        "texts": len(texts.texts),
        "labels": dict(texts.classes),
        "limited": texts.limited,
        "synthetic": texts.synthetic or None,
        "text_sha256": texts.texts.text_hash,
        "labels_sha256": texts.label_hash,
        "defects": list(texts.defects),
    }
