"""Linear probes: logistic regression on standardised states, scored on held-out texts.

The scaler and the choice of the penalty are fitted only on the training part of each outer fold (nested
cross-validation: Varma and Simon, BMC Bioinformatics 2006).
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from probe.metrics.vectors import Embeddings

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV

__all__ = [
    "FOLDS",
    "INNER_FOLDS",
    "PENALTIES",
    "HeldOut",
    "LinearProbeConfig",
    "cross_predict",
    "fewest_texts",
    "probe_all",
]

FOLDS = 5
INNER_FOLDS = 3
# Inverse penalties (scikit-learn's C); ties go to the strongest penalty.
PENALTIES = (0.001, 0.01, 0.1, 1.0)
TOLERANCE = 1e-3
MOST_STEPS = 1000

_SCORERS = {"accuracy": "accuracy", "macro-f1": "f1_macro"}
_WORKERS = 2

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class LinearProbeConfig:
    """Settings of training and scoring.

    Attributes:
        metric: `accuracy` or `macro-f1`, used to choose the penalty.
        folds: Number of outer folds, stratified.
        seed: Random seed of the folds.
    """

    metric: str = "accuracy"
    folds: int = FOLDS
    seed: int = 0


@dataclass(frozen=True)
class HeldOut:
    """Predictions for held-out texts.

    Attributes:
        predicted: Predicted class of every text `(N,)`.
        penalties: The chosen C of each outer fold.
        unconverged: Number of outer folds whose fit stopped before convergence.
        seconds: Total time of the fits.
    """

    predicted: Classes
    penalties: tuple[float, ...]
    unconverged: int
    seconds: float


def fewest_texts(folds: int) -> int:
    """Return the minimum number of texts per label, so that every part of every fold has one."""
    need = folds
    while need - -(-need // folds) < INNER_FOLDS:
        need += 1
    return need


def cross_predict(vectors: Embeddings, truth: Classes, config: LinearProbeConfig) -> HeldOut:
    """Predict the class of every text with a probe trained on the other folds.

    Every class of `truth` `(N,)` must occur at least `fewest_texts(config.folds)` times.
    """
    from sklearn.model_selection import StratifiedKFold

    begun = time.perf_counter()
    predicted = np.empty_like(truth)
    penalties, unconverged = [], 0
    folds = StratifiedKFold(config.folds, shuffle=True, random_state=config.seed)
    for training, held_out in folds.split(vectors, truth):
        search = _make_search(config).fit(vectors[training], truth[training])
        predicted[held_out] = search.predict(vectors[held_out])
        penalties.append(float(search.best_params_["logisticregression__C"]))
        unconverged += int(search.best_estimator_[-1].n_iter_.max() >= MOST_STEPS)
    return HeldOut(predicted, tuple(penalties), unconverged, time.perf_counter() - begun)


def probe_all(jobs: Sequence[tuple[Embeddings, Classes]], config: LinearProbeConfig) -> Iterator[HeldOut]:
    """Train the probes of several states `(N, D)` and classes `(N,)` in parallel; yield the results in order."""
    with _single_threads(), ThreadPoolExecutor(_WORKERS) as pool:
        yield from pool.map(lambda job: cross_predict(job[0], job[1], config), jobs)


def _make_search(config: LinearProbeConfig) -> "GridSearchCV":
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=TOLERANCE, max_iter=MOST_STEPS))
    inner = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=config.seed)
    grid = {"logisticregression__C": list(PENALTIES)}
    return GridSearchCV(pipeline, grid, scoring=_SCORERS[config.metric], cv=inner)


@contextmanager
def _single_threads() -> Iterator[None]:
    """Use one thread per fit, so that results do not depend on the number of threads; ignore convergence warnings."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
