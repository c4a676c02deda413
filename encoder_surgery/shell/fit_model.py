"""Fit one adaptor on one encoder and save the two as a model: `adaptors fit`, `surgery cut --lens`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from adaptors.fitting.options import TrainOptions
from encoder_surgery.shell.output import command_line, say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.training_output import show_epochs

if TYPE_CHECKING:
    from adaptors.fitting.fit import FittedModel
    from probe.models.options import LoadOptions
    from probe.store.store import Store

__all__ = ["FitRequest", "fit_and_save"]


@dataclass(frozen=True)
class FitRequest:
    """An adaptor to fit, and the folder to save it in.

    Attributes:
        kind: Kind of adaptor.
        spec: The encoder.
        dims: Dimensions to score, greatest first; the saved model has the greatest. Empty = all that there are; None =
            all, a half, a quarter.
        dataset: The data set whose texts are looked at.
        split: The split that is scored.
        out: Folder to make.
        force: Replace one that an earlier save made.
        store: Store of states, if any.
        labels: The split whose judgements may be used, or `none`.
        training: How a network is trained.
        similarity: What vectors are compared by, when they are scored.
        drop_same_id: Whether a document with the query's own id is dropped whatever its text.
        limit: Approximate number of documents; all when left out.
        metric: What the table is ranked by.
    """

    kind: str
    spec: str
    dims: tuple[int, ...] | None
    dataset: str
    split: str | None
    out: Path
    force: bool
    store: "Store | None"
    labels: str = "none"
    training: TrainOptions = field(default_factory=TrainOptions)
    similarity: str = "own"
    drop_same_id: bool = False
    limit: int | None = None
    metric: str = "ndcg@10"


def fit_and_save(request: FitRequest, options: "LoadOptions") -> None:
    """Fit, score, save, check in a fresh process, and print the folder.

    Args:
        request: What is fitted.
        options: How the model is loaded for the fit; it is saved and checked in float32.
    """
    from adaptors.encoders.folder import is_plain_model
    from adaptors.training.epochs import epochs_section
    from surgery.saving.fresh_process import check_encoder
    from surgery.saving.save import check_out

    check_out(request.out, request.force)
    fitted = _fit(request, options)
    encoder, board = fitted.encoder, fitted.board
    show_epochs(encoder.epochs)
    for note in board.settings["adaptors"]:
        say(note)
    for row in board.rows:
        with_adaptor = f"{row.adaptor} to {row.dim} dimensions" if row.adaptor else f"frozen, {row.dim} dimensions"
        beside = f" ({row.delta:+.4f} to {board.settings['baseline']})" if row.delta is not None else ""
        say(f"{row.encoder}, {with_adaptor}: {board.metric} {row.scores[board.metric]:.4f}{beside}")
    say(f"saving {request.out} and checking it in a fresh process")
    trust = options.trust_remote_code or not is_plain_model(encoder)
    fitted.save(
        request.out,
        force=request.force,
        options=replace(options, dtype="float32", device="cpu"),
        words=epochs_section(encoder.epochs),
        check=lambda folder, model: check_encoder(folder, model, trust),
    )
    typer.echo(request.out)


def _fit(request: FitRequest, options: "LoadOptions") -> "FittedModel":
    from adaptors.fitting.data import select_fit_data
    from adaptors.fitting.fit import fit
    from probe.data.loading import load_dataset
    from probe.experiments.options import RunOptions

    with working(request.training.checkpoint_dir) as report:
        ranking = RunOptions(
            metric=request.metric,
            seed=request.training.seed,
            command=command_line(),
            store=request.store,
            progress=report,
            similarity=request.similarity,
            drop_same_id=request.drop_same_id,
            load=options,
        )
        corpus = load_dataset(request.dataset, request.split, request.limit, drop_same_id=request.drop_same_id)
        return fit(
            request.kind,
            request.spec,
            select_fit_data(request.dataset, corpus, request.labels),
            dims=request.dims,
            labels=request.labels,
            training=replace(request.training, progress=report),
            options=ranking,
        )
