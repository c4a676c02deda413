"""Fit a static cut: a table of one vector per token whose averages are close to a full model's vectors."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from adaptors.fitting.data import FitTexts, select_fit_data, several_texts
from adaptors.healing.held_out import Agreement, measure_agreement
from adaptors.healing.texts import HealData, HealTexts, gather_heal_texts, load_heal_texts
from adaptors.static.facts import StaticFacts
from adaptors.static.model import StaticModel
from adaptors.static.options import StaticOptions
from adaptors.static.prior import make_prior
from adaptors.static.ridge import RidgeProblem
from adaptors.static.texts import StaticTexts, count_texts
from adaptors.static.token_counts import estimate_shares, open_tokenizer
from adaptors.static.token_vectors import read_token_vectors
from probe.encoding.chunk_states import Progress, silent
from probe.encoding.opening import Openable, as_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError, check_type
from probe.metrics.vectors import Embeddings, unit
from probe.sources.loading import load_dataset
from probe.store.store import Store

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["check_static", "fit_static", "fit_static_texts"]

_log = logging.getLogger(__name__)

# Penalties tried, relative to the mean prior variance of a text.
_PENALTIES = tuple(float(one) for one in 10 ** np.arange(-2, 1.6, 0.25))
# The best penalty for ranking is about this share of the one with the lowest error on new texts: documents that were
# fitted to should stay near the full model's vectors. Chosen on training and development queries of SciFact and
# NFCorpus, and on the docstrings.
_FOR_RANKING = 0.2


def fit_static(
    model: Openable = "minilm",
    data: HealData = "docstrings",
    *,
    split: str | None = None,
    store: Store | None = None,
    seed: int = 0,
    options: StaticOptions | None = None,
    progress: Progress = silent,
) -> StaticModel:
    """Fit a static cut of a model: one vector per token, averaged, without any block; no labels, no gradient.

    Args:
        model: The full model in any form; its tokenizer must be a fast one.
        data: One or several files or data sets whose texts are used, jointly; or texts as `{"mine": texts}`. Of a data
            set by name, the documents and the queries of its training split; relevance labels are not used.
        split: The split that will be scored, whose queries are never read; default: `test`.
        store: Store of the full model's vectors, if any.
        seed: Seed of the texts that are held out, and of those that choose the penalty.
        options: Options of the fit.
        progress: Called for every batch.

    Returns:
        The static cut, an encoder that can be saved.

    Raises:
        CallError: The data or an option is invalid.
        ModelError: The model has no layers, is one of two towers, or has a slow tokenizer.
    """
    reader = as_reader(model, None, store)
    check_static(reader)
    texts = _load(data, split)
    return fit_static_texts(reader, texts, store=store, seed=seed, options=options, progress=progress)


def check_static(reader: LayerReader) -> None:
    """Raise, before any text is read, if a model has no static cut.

    Raises:
        ModelError: It has no layers, or is one of two towers.
    """
    model = reader.model
    if model.tower:
        raise ModelError(f"'{model.source.name}' is one of two towers: a static cut needs a text encoder of its own")
    if model.depth == 0:
        raise ModelError(f"'{model.source.name}' is an encoder without layers: expected one with blocks to remove")


def _load(data: HealData, split: str | None) -> list[FitTexts]:
    if split is None:
        return load_heal_texts(data)
    several = data if isinstance(data, list | tuple) else [data]
    if not all(isinstance(one, str | Path) for one in several):
        raise CallError(f"split '{split}' is for the name or path of a data set: load that split with load_dataset")
    return [select_fit_data(str(one), load_dataset(str(one), split), "none") for one in several]


def fit_static_texts(
    reader: LayerReader,
    texts: FitTexts | Sequence[FitTexts] | HealTexts,
    *,
    store: Store | None = None,
    seed: int = 0,
    options: StaticOptions | None = None,
    progress: Progress = silent,
) -> StaticModel:
    """Fit a static cut of an opened model to texts, perhaps with its vectors; `fit_static` for what is given by name.

    Raises:
        CallError: There are fewer than two different texts.
        ModelError: The model has a slow tokenizer, or no text of a single token.
    """
    check_static(reader)
    chosen = StaticOptions() if options is None else options
    check_type("options", chosen, StaticOptions)
    tokenizer = open_tokenizer(reader)
    if not isinstance(texts, HealTexts):
        texts = gather_heal_texts(reader, several_texts(texts), store, progress=progress)
    given = count_texts(texts, tokenizer, progress)
    vectors = read_token_vectors(reader, tokenizer, store, progress=progress)
    fit = _Fit(vectors, chosen, seed, progress)
    shown, held = given.hold_out(chosen.held_out, seed)
    first, penalty = fit.table(shown, chosen.penalty)
    unseen = _agree(first, held)
    table, _ = fit.table(given, penalty)
    facts = StaticFacts(
        tokens=len(tokenizer.known),
        seen_tokens=int(np.count_nonzero(np.diff(given.counts.tocsc().indptr))),
        texts=len(given),
        penalty=penalty,
        held_out=len(held),
        unseen=unseen,
        seen=_agree(table, held),
        data=given.seen,
        options=chosen,
        seed=seed,
    )
    _log.debug("static cut of %s: %s", reader.model.source.name, facts.describe())
    return StaticModel(reader.model, tokenizer, table, facts)


@dataclass(frozen=True)
class _Fit:
    """What several fits of one model share."""

    vectors: Embeddings
    options: StaticOptions
    seed: int
    progress: Progress

    def table(self, texts: StaticTexts, penalty: float | None) -> tuple[Embeddings, float]:
        """Return a vector per token `(V, D)`, and the penalty, chosen if none is given."""
        shares = estimate_shares(texts.counts)
        prior = make_prior(self.vectors, shares, self.options.smoothing, counts=texts.counts, targets=texts.targets)
        weights = _weigh(texts.counts, self.options.length)
        scales = _scale(texts.counts, shares, self.options.power, weights=weights)
        rows = _times(texts.counts, scales, weights)
        missed = (texts.targets - texts.counts @ prior) * weights[:, None]
        problem = RidgeProblem(rows, torch.from_numpy(missed))
        chosen = self._choose_penalty(problem, weights) if penalty is None else penalty
        change = rows.T @ self._solve(problem, chosen)
        return prior + scales[:, None] * change, chosen

    def _choose_penalty(self, problem: RidgeProblem, weights: NDArray[np.float32]) -> float:
        """Return the penalty for ranking, from the lowest leave-one-out error of some texts, weighted by length."""
        rows = np.arange(len(weights))
        if len(rows) > self.options.penalty_texts:
            rng = np.random.default_rng(self.seed)
            rows = np.sort(rng.choice(rows, self.options.penalty_texts, replace=False))
        sample, lengths = problem.pick(rows), torch.from_numpy(weights[rows])
        errors = []
        for penalty in _PENALTIES:
            errors.append(float((sample.left_out(penalty) / lengths).mean()))
            self.progress("choosing the penalty", 1, len(_PENALTIES))
        return _FOR_RANKING * _PENALTIES[int(np.argmin(errors))]

    def _solve(self, problem: RidgeProblem, penalty: float) -> Embeddings:
        exact = len(problem.targets) <= self.options.exact_texts
        solved = problem.solve_exact(penalty) if exact else problem.solve_iteratively(penalty)
        found: Embeddings = solved.numpy()
        return found


def _weigh(counts: "csr_array", power: float) -> NDArray[np.float32]:
    """Return each text's weight `(N,)`, a power of its number of different tokens; the mean number has the weight 1."""
    different = np.diff(counts.indptr)
    weights: NDArray[np.float32] = np.power(different / different.mean(), power).astype(np.float32)
    return weights


def _scale(
    counts: "csr_array", shares: NDArray[np.float64], power: float, *, weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return each token's prior standard deviation `(V,)`; the mean prior variance of a weighted text is 1."""
    variances = shares**-power
    mean = float((np.square(weights) * (counts.power(2) @ variances)).mean())
    return np.sqrt(variances / mean).astype(np.float32)


def _times(counts: "csr_array", scales: NDArray[np.float32], weights: NDArray[np.float32]) -> "csr_array":
    from scipy.sparse import csr_array

    values = counts.data * scales[counts.indices] * np.repeat(weights, np.diff(counts.indptr))
    return csr_array((values, counts.indices, counts.indptr), shape=counts.shape)


def _agree(table: Embeddings, texts: StaticTexts) -> Agreement:
    vectors = torch.from_numpy(unit(texts.counts @ table))
    return measure_agreement(vectors, torch.from_numpy(texts.targets))
