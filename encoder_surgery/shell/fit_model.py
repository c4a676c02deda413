"""Fit an adaptor on an encoder and save both as one model: `adaptors fit`, `surgery cut --lens`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adaptors.fitting.options import TrainOptions
from encoder_surgery.shell.datasets import load_all, show_set_scores
from encoder_surgery.shell.output import command_line, say, show_epochs
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.save_model import say_saved

if TYPE_CHECKING:
    from adaptors.fitting.fit import FittedModel
    from probe.data.sampling import SampleSize
    from probe.evaluation.storage import StoragePlan
    from probe.experiments.options import RunOptions
    from probe.models.options import LoadOptions
    from probe.results.leaderboard import Leaderboard
    from probe.store.store import Store

__all__ = ["FitRequest", "fit_and_save", "run_options", "save_fitted", "say_scores"]


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """An adaptor to fit, and the folder to save it in.

    Attributes:
        kind: Kind of adaptor.
        spec: The encoder.
        dims: Dimensions to score, largest first; the saved model has the largest. Empty = the full width; None =
            full, half, quarter of the width.
        datasets: The data sets with the texts to fit on, jointly.
        splits: The splits to score, as given.
        out: Output folder.
        force: Overwrite the output folder of an earlier save.
        store: Store of states, if any.
        labels: The split whose relevance labels may be used, or `none`.
        training: How a network is trained.
        similarity: Similarity of two vectors for the scores.
        drop_same_id: Whether a document with the query's id is dropped even if its text differs.
        limit: The sample of each data set; default: all of it.
        metric: Metric of the table's order.
        weights_dtype: Dtype of the saved weights; default: the original's.
        storage: Size of stored vectors, for a quantizer beside the model; default: none.
    """

    kind: str
    spec: str
    dims: tuple[int, ...] | None
    datasets: Sequence[str]
    splits: Sequence[str] | None
    out: Path
    force: bool
    store: "Store | None"
    labels: str = "none"
    training: TrainOptions = field(default_factory=TrainOptions)
    similarity: str = "own"
    drop_same_id: bool = False
    limit: "SampleSize | None" = None
    metric: str = "ndcg@10"
    weights_dtype: str | None = None
    storage: "StoragePlan | None" = None


def fit_and_save(request: FitRequest, options: "LoadOptions") -> None:
    """Fit, score, save, check in a fresh process, and print the folder.

    Args:
        request: The adaptor to fit.
        options: How the model is loaded for the fit; it is saved and checked in float32.
    """
    from surgery.saving.save import check_out

    check_out(request.out, request.force)
    fitted = _fit(request, options)
    show_epochs(fitted.encoder.epochs)
    say_scores(fitted.board)
    save_fitted(fitted, request, options)


def say_scores(board: "Leaderboard") -> None:
    """Print the notes on a fit, and the score of every row."""
    for note in board.settings["adaptors"]:
        say(note)
    for row in board.rows:
        with_adaptor = f"{row.adaptor} to {row.dim} dimensions" if row.adaptor else f"frozen, {row.dim} dimensions"
        with_adaptor += f" in {row.bytes:,} bytes" if row.bytes is not None else ""
        beside = f" ({row.delta:+.4f} to {board.settings['baseline']})" if row.delta is not None else ""
        score = f"{board.metric} {row.scores[board.metric]:.4f}{show_set_scores(board, row)}{beside}"
        say(f"{row.encoder}, {with_adaptor}: {score}")


def save_fitted(fitted: "FittedModel", request: FitRequest, options: "LoadOptions") -> None:
    """Save a model, check it in a fresh process, and print its folder.

    Args:
        fitted: The model.
        request: The folder, and the dtype of its weights.
        options: How the model was loaded for the fit; it is saved and checked in float32.
    """
    from adaptors.encoders.folder import is_plain_model
    from adaptors.training.epochs import epochs_section
    from surgery.saving.fresh_process import check_encoder

    say(f"saving {request.out} and checking it in a fresh process")
    trust = options.trust_remote_code or not is_plain_model(fitted.encoder)
    fitted.save(
        request.out,
        force=request.force,
        options=replace(options, dtype="float32", device="cpu"),
        words=epochs_section(fitted.encoder.epochs),
        weights_dtype=request.weights_dtype,
        check=lambda folder, model: check_encoder(folder, model, trust),
    )
    say_saved(request.out)


def run_options(request: FitRequest, options: "LoadOptions") -> "RunOptions":
    """Return how a fit is run and scored, without a progress bar."""
    from probe.evaluation.storage import StoragePlan
    from probe.experiments.options import RunOptions

    return RunOptions(
        metric=request.metric,
        seed=request.training.seed,
        command=command_line(),
        store=request.store,
        similarity=request.similarity,
        drop_same_id=request.drop_same_id,
        load=options,
        storage=request.storage or StoragePlan(),
    )


def _fit(request: FitRequest, options: "LoadOptions") -> "FittedModel":
    from adaptors.fitting.data import select_fit_data
    from adaptors.fitting.fit import fit

    with working(request.training.checkpoint_dir) as report:
        loaded = load_all(request.datasets, request.splits, request.limit, reader="an adaptor")
        return fit(
            request.kind,
            request.spec,
            [select_fit_data(one.request.name, one.dataset, request.labels) for one in loaded.found],
            dims=request.dims,
            labels=request.labels,
            training=replace(request.training, progress=report),
            options=replace(run_options(request, options), progress=report),
        )
