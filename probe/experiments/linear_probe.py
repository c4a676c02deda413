"""A linear probe: logistic regression on standardised states, judged on texts it never saw.

Everything that is fitted, the scaler and the choice of the penalty included, is fitted on the training part of an
outer fold alone (nested cross-validation: Varma and Simon, BMC Bioinformatics 2006).
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
# Inverse strengths, as scikit-learn's C; of equally good ones the strongest penalty is taken.
PENALTIES = (0.001, 0.01, 0.1, 1.0)
TOLERANCE = 1e-3
MOST_STEPS = 1000

_SCORERS = {"accuracy": "accuracy", "macro-f1": "f1_macro"}
_WORKERS = 2

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class LinearProbeConfig:
    """How probes are trained and judged.

    Attributes:
        metric: `accuracy` or `macro-f1`; chooses the penalty.
        folds: Outer folds, stratified.
        seed: Of the folds.
    """

    metric: str = "accuracy"
    folds: int = FOLDS
    seed: int = 0


@dataclass(frozen=True)
class HeldOut:
    """What a probe predicts for texts it was not trained on.

    Attributes:
        predicted: Class of every text `(N,)`.
        penalties: The C that was chosen, per outer fold.
        unconverged: Outer folds whose fit was stopped before it converged.
        seconds: Time of all fits.
    """

    predicted: Classes
    penalties: tuple[float, ...]
    unconverged: int
    seconds: float


def fewest_texts(folds: int) -> int:
    """Return how many texts a label needs, so that every part of every fold has one."""
    need = folds
    while need - -(-need // folds) < INNER_FOLDS:
        need += 1
    return need


def cross_predict(vectors: Embeddings, truth: Classes, config: LinearProbeConfig) -> HeldOut:
    """Predict the class of every text by a probe that was trained on the other folds.

    Every class of `truth` `(N,)` comes at least `fewest_texts(config.folds)` times.
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
    """Train the probes of many states `(N, D)` and classes `(N,)`, some beside each other; yield in their order."""
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
    """One thread per fit, so that a sum does not depend on how many there were; fits that stop early are counted."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
