"""Linear probes on every layer of a model, trained in one pass over labelled texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.encoding.chunk_states import Progress, read_texts, silent
from probe.encoding.hookpoints import with_full_model
from probe.encoding.opening import Openable, as_reader
from probe.errors import CallError, DataError
from probe.experiments.linear_probe import (
    FOLDS,
    INNER_FOLDS,
    MOST_STEPS,
    PENALTIES,
    TOLERANCE,
    HeldOut,
    LinearProbeConfig,
    fewest_texts,
    probe_all,
)
from probe.experiments.options import RunOptions
from probe.experiments.provenance import text_model_settings, text_statistics_settings
from probe.layers.hookpoint import Hookpoint, Layers
from probe.metrics.classification import MEASURES, intervals, measure_all, paired_test
from probe.metrics.geometry import is_collapsed
from probe.metrics.vectors import Embeddings
from probe.results.classification import MAJORITY, SHUFFLED, ClassificationResult, ClassificationRow
from probe.sources.labelled_texts import LabelledTexts, load_labelled_texts

__all__ = ["classify_layers", "rank_probes"]

_TEST = "two-sided paired randomisation over texts"
_LIBRARIES = ("scikit-learn", "scipy", "numpy")


def classify_layers(
    model: Openable,
    texts: str | Path | LabelledTexts,
    layers: Layers = "all",
    *,
    poolings: str | Sequence[str] = ("own",),
    metric: str = "accuracy",
    folds: int = FOLDS,
    options: RunOptions | None = None,
) -> ClassificationResult:
    """Train a linear probe on every layer of one model; the full model is always included.

    Args:
        model: An alias, a hub id or a folder; a loaded model, its reader, or a `SentenceTransformer`.
        texts: Labelled texts, or their name or file.
        layers: `all`, `0-6` or `1,3,5`, or numbers.
        poolings: Poolings to read at every layer; `own` is the model's own.
        metric: `accuracy` or `macro-f1`: used for ranking and to choose the penalty.
        folds: Number of outer cross-validation folds.
        options: Run options.

    Returns:
        The probes, ranked, with a row for the majority-class baseline and one for shuffled labels.

    Raises:
        ProbeError: If an argument is invalid, the model or the texts are unavailable, or a label has too few texts.
    """
    options = RunOptions.of(options)
    config = LinearProbeConfig(metric, folds, options.seed)
    _check_config(config)
    reader = as_reader(model, options.load, options.store)
    points, full = with_full_model(reader.model, layers, poolings)
    found = texts if isinstance(texts, LabelledTexts) else load_labelled_texts(str(texts), fewest=fewest_texts(folds))
    _check_labels(found, folds)
    layer_poolings = [point.layer_pooling for point in points]
    states, truncated = read_texts(reader, [(found.name, found.texts)], layer_poolings, context=options.context)
    vectors = {point: states[point.layer_pooling] for point in points}
    rows = rank_probes(vectors, full, found.labels, config=config, progress=options.progress)
    settings = {
        "metric": metric,
        "baseline": str(full),
        "probe": _describe(config),
        "models": [text_model_settings(reader.model, [found.texts], truncated, token_budget=reader.token_budget)],
        "dataset": _dataset_settings(found),
        "statistics": text_statistics_settings("texts", _TEST, options.seed, libraries=_LIBRARIES),
    }
    return ClassificationResult(options.command, datetime.now(UTC).isoformat(timespec="seconds"), settings, rows)


def _check_config(config: LinearProbeConfig) -> None:
    if config.metric not in MEASURES:
        raise CallError(f"unknown metric '{config.metric}': expected one of {', '.join(MEASURES)}")
    if config.folds < 2:
        raise CallError(f"--folds {config.folds} is out of range: expected at least 2")


def _check_labels(texts: LabelledTexts, folds: int) -> None:
    fewest = fewest_texts(folds)
    few = {name: count for name, count in texts.classes.items() if count < fewest}
    if few:
        name, count = min(few.items(), key=lambda item: item[1])
        others = f" (and {len(few) - 1} other labels)" if len(few) > 1 else ""
        raise DataError(
            f"the label '{name}'{others} has {count} texts, but {folds} folds need {fewest}: "
            "add texts, reduce --folds, or remove the label"
        )


def _describe(config: LinearProbeConfig) -> dict[str, Any]:
    return {
        "classifier": "logistic regression (L2, lbfgs) on standardised states",
        "folds": config.folds,
        "inner_folds": INNER_FOLDS,
        "grid": list(PENALTIES),
        "chosen_by": config.metric,
        "tolerance": TOLERANCE,
        "most_steps": MOST_STEPS,
        "seed": config.seed,
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


_STEP = "training probes"

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class _Trial:
    """A probe trained on the labels, and one trained on shuffled labels."""

    point: Hookpoint
    row: ClassificationRow
    real: HeldOut
    shuffled: HeldOut


@dataclass(frozen=True)
class _Entry:
    """A future row, the labels it is scored against `(N,)`, and its predictions `(N,)`."""

    row: ClassificationRow
    truth: Classes
    predicted: Classes


def rank_probes(
    states: Mapping[Hookpoint, Embeddings],
    baseline: Hookpoint,
    labels: Sequence[str],
    *,
    config: LinearProbeConfig,
    progress: Progress = silent,
) -> tuple[ClassificationRow, ...]:
    """Train and score a probe per hookpoint, once on the labels and once on shuffled labels.

    All are tested against the baseline, which is one of them. Rows are sorted best first; the majority-class baseline
    and the full model on shuffled labels are included.
    """
    classes = np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)
    shuffled = np.random.default_rng(config.seed).permutation(classes)
    trials = _train(states, (classes, shuffled), config, progress=progress)
    full = next(trial for trial in trials if trial.point == baseline)
    commonest = np.full_like(classes, np.bincount(classes).argmax())
    entries = [
        *(_Entry(trial.row, classes, trial.real.predicted) for trial in trials),
        _Entry(ClassificationRow(0, "majority-class baseline", MAJORITY), classes, commonest),
        _Entry(_shuffled_row(full), shuffled, full.shuffled.predicted),
    ]
    rows = _test(_score(entries, config), entries, classes, full=full, config=config)
    ordered = sorted(rows, key=lambda row: -_score_of(row, config))
    return tuple(replace(row, rank=rank) for rank, row in enumerate(ordered, start=1))


def _train(
    states: Mapping[Hookpoint, Embeddings],
    labels: tuple[Classes, Classes],
    config: LinearProbeConfig,
    *,
    progress: Progress,
) -> list[_Trial]:
    jobs = [(vectors, classes) for vectors in states.values() for classes in labels]
    found = []
    for held_out in probe_all(jobs, config):
        found.append(held_out)
        progress(_STEP, 1, len(jobs))
    trials = []
    for (point, vectors), real, shuffled in zip(states.items(), found[::2], found[1::2], strict=True):
        chance = {name: float(scores[0]) for name, scores in _measure([(labels[1], shuffled.predicted)]).items()}
        row = replace(
            _layer_row(point, real),
            dim=int(vectors.shape[1]),
            collapsed=is_collapsed(vectors),
            shuffled_accuracy=chance["accuracy"],
            shuffled_macro_f1=chance["macro-f1"],
        )
        trials.append(_Trial(point, row, real, shuffled))
    return trials


def _layer_row(point: Hookpoint, found: HeldOut) -> ClassificationRow:
    layer, pooling = point.layer_pooling
    row = ClassificationRow(0, str(point), layer=layer, pooling=pooling)
    return replace(row, penalties=found.penalties, unconverged=found.unconverged, fit_seconds=found.seconds)


def _shuffled_row(full: _Trial) -> ClassificationRow:
    row = replace(_layer_row(full.point, full.shuffled), dim=full.row.dim, collapsed=full.row.collapsed)
    return replace(row, encoder=f"{full.point}, labels shuffled", control=SHUFFLED)


def _measure(pairs: Sequence[tuple[Classes, Classes]]) -> dict[str, NDArray[np.float64]]:
    """Return every measure by name, `(R,)`, from pairs of labels and predictions."""
    truth, predicted = np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
    return measure_all(truth, predicted, int(truth.max()) + 1)


def _score(entries: Sequence[_Entry], config: LinearProbeConfig) -> list[ClassificationRow]:
    """Add both measures and their intervals."""
    pairs = [(entry.truth, entry.predicted) for entry in entries]
    scores = _measure(pairs)
    truth, predicted = np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
    bounds = intervals(truth, predicted, int(truth.max()) + 1, seed=config.seed)
    rows = []
    for index, entry in enumerate(entries):
        row = replace(
            entry.row,
            accuracy=float(scores["accuracy"][index]),
            accuracy_ci95=bounds["accuracy"][index],
            macro_f1=float(scores["macro-f1"][index]),
            macro_f1_ci95=bounds["macro-f1"][index],
        )
        rows.append(_add_selectivity(row, config))
    return rows


def _add_selectivity(row: ClassificationRow, config: LinearProbeConfig) -> ClassificationRow:
    chance = row.shuffled_accuracy if config.metric == "accuracy" else row.shuffled_macro_f1
    return row if chance is None else replace(row, selectivity=_score_of(row, config) - chance)


def _score_of(row: ClassificationRow, config: LinearProbeConfig) -> float:
    return row.accuracy if config.metric == "accuracy" else row.macro_f1


def _test(
    rows: Sequence[ClassificationRow],
    entries: Sequence[_Entry],
    classes: Classes,
    *,
    full: _Trial,
    config: LinearProbeConfig,
) -> list[ClassificationRow]:
    """Add differences to the full model for rows with the same labels."""
    others = [index for index, row in enumerate(rows) if row.control != SHUFFLED and row.encoder != str(full.point)]
    predicted = np.stack([entries[index].predicted for index in others])
    p_values = paired_test(classes, predicted, full.real.predicted, measure=MEASURES[config.metric], seed=config.seed)
    reference = next(_score_of(row, config) for row in rows if row.encoder == str(full.point))
    tested = dict(zip(others, p_values, strict=True))
    return [
        replace(row, delta=_score_of(row, config) - reference, p_value=tested[index]) if index in tested else row
        for index, row in enumerate(rows)
    ]
