"""Fit one adaptor on one encoder and save the two as a model: `adaptors fit`, `surgery cut --lens`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from adaptors.fitting.options import TrainOptions
from encoder_surgery.shell.output import command_line, say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.training_output import show_epochs, training_section
from probe.errors import CallError

if TYPE_CHECKING:
    from adaptors.encoders.adapted import AdaptedEncoder
    from probe.evaluation.fusion import Fusion
    from probe.experiments.specs import ResolvedSpecs
    from probe.models.options import LoadOptions
    from probe.results.leaderboard import Leaderboard
    from probe.store.store import Store

__all__ = ["FitRequest", "fit_and_save"]


@dataclass(frozen=True)
class FitRequest:
    """An adaptor to fit, and the folder to save it in.

    Attributes:
        kind: Kind of adaptor.
        spec: The encoder.
        dims: Dimensions to score, greatest first; the saved model has the greatest. Empty = the final embedding's.
        dataset: The data set whose texts are looked at.
        split: The split that is scored.
        out: Folder to make.
        force: Replace one that an earlier save made.
        store: Store of states, if any.
        labels: The split whose judgements may be used, or `none`.
        training: How a network is trained.
        similarity: What vectors are compared by, when they are scored.
        drop_same_id: Whether a document with the query's own id is dropped whatever its text.
    """

    kind: str
    spec: str
    dims: tuple[int, ...]
    dataset: str
    split: str | None
    out: Path
    force: bool
    store: "Store | None"
    labels: str = "none"
    training: TrainOptions = field(default_factory=TrainOptions)
    similarity: str = "own"
    drop_same_id: bool = False


def fit_and_save(request: FitRequest, options: "LoadOptions") -> None:
    """Fit, score, save, check in a fresh process, and print the folder."""
    from adaptors.encoders.adapted import AdaptedModel
    from adaptors.encoders.folder import About, is_plain_model, save_adapted
    from probe.encoding.opening import open_reader
    from surgery.fusing.model import FusedModel
    from surgery.saving.fresh_process import check_encoder
    from surgery.saving.save import check_out
    from surgery.scoring import card_section

    check_out(request.out, request.force)
    encoder, board = _fit(request, replace(options, dtype="auto", device="auto"))
    show_epochs(encoder.epochs)
    for note in board.settings["adaptors"]:
        say(note)
    for row in board.rows:
        fitted = f"{row.adaptor} to {row.dim} dimensions" if row.adaptor else f"frozen, {row.dim} dimensions"
        beside = f" ({row.delta:+.4f} to {board.settings['baseline']})" if row.delta is not None else ""
        say(f"{row.encoder}, {fitted}: {board.metric} {row.scores[board.metric]:.4f}{beside}")
    readers = tuple(open_reader(name, options) for name in dict.fromkeys(point.model for point in encoder.points))
    model = AdaptedModel(FusedModel(readers, encoder.fusion), encoder)
    say(f"saving {request.out} and checking it in a fresh process")
    about = About(board.settings["dataset"]["name"], card_section(board) + training_section(encoder.epochs))
    trust = options.trust_remote_code or not is_plain_model(encoder)
    save_adapted(
        encoder,
        readers,
        request.out,
        about=about,
        force=request.force,
        check=lambda folder: check_encoder(folder, model, trust),
    )
    typer.echo(request.out)


def _fit(request: FitRequest, options: "LoadOptions") -> "tuple[AdaptedEncoder, Leaderboard]":
    """Return the adapted encoder of the most dimensions, and how it and the frozen one retrieve."""
    from adaptors.encoders.specs import resolve_specs
    from adaptors.fitting.compare import FitPlan, fit_adaptors
    from adaptors.fitting.data import select_fit_data
    from adaptors.fitting.kinds import KINDS, check_kinds
    from probe.data.loading import load_dataset
    from probe.experiments.options import RunOptions
    from probe.experiments.ranking import rank_candidates
    from surgery.fusing.model import widths_of

    check_kinds([request.kind])
    if request.labels != "none" and not KINDS[request.kind].uses_labels:
        having = ", ".join(name for name, kind in KINDS.items() if kind.uses_labels)
        raise CallError(f"'{request.kind}' uses no judgements: leave out --labels, or take one of {having}")
    if request.training.loss is not None and not KINDS[request.kind].uses_labels:
        raise CallError(f"'{request.kind}' has no other loss than its own: leave out --loss")
    with working(request.training.checkpoints) as report:
        data = load_dataset(request.dataset, request.split, drop_same_id=request.drop_same_id)
        resolved = resolve_specs([request.spec], options, request.store, similarity=request.similarity)
        _check_single(resolved, request.spec)
        shown = _beside_full(resolved) if KINDS[request.kind].maps_to_final else resolved
        points = cast("Fusion", shown.baseline).points
        width = sum(widths_of(points, [candidate.reader for candidate in resolved.candidates]))
        training = replace(request.training, progress=report)
        ranking = RunOptions(
            seed=training.seed,
            command=command_line(),
            store=request.store,
            progress=report,
            similarity=request.similarity,
        )
        plan = FitPlan((request.kind,), request.dims or (width,), training, only_labelled=True)
        ladder = fit_adaptors(resolved, plan, select_fit_data(request.dataset, data, request.labels), options=ranking)
        encoders = [*shown.fusions, *ladder.adapted]
        board = rank_candidates(shown.candidates, data, str(shown.baseline), options=ranking, fusions=encoders)
    board = replace(board, settings={**board.settings, "adaptors": list(ladder.notes)})
    return max(ladder.adapted, key=lambda encoder: encoder.dim), board


def _beside_full(resolved: "ResolvedSpecs") -> "ResolvedSpecs":
    """Return what is adapted with what it aims at, the full model, as the baseline: the cut alone is easily beaten."""
    from adaptors.fitting.data import final_fusion
    from probe.experiments.specs import ResolvedSpecs

    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    full = final_fusion(readers, cast("Fusion", resolved.baseline))
    if len(full.points) > 1:
        return ResolvedSpecs(resolved.candidates, tuple(dict.fromkeys((full, *resolved.fusions))), full)
    (candidate,) = resolved.candidates
    points = tuple(dict.fromkeys((*full.points, *candidate.hookpoints)))
    return ResolvedSpecs((replace(candidate, hookpoints=points),), resolved.fusions, full)


def _check_single(resolved: "ResolvedSpecs", spec: str) -> None:
    from probe.evaluation.fusion import Fusion

    encoders = sum(len(candidate.hookpoints) for candidate in resolved.candidates) + len(resolved.fusions)
    if encoders != 1 or not isinstance(resolved.baseline, Fusion):
        raise CallError(
            f"'{spec}' names {encoders} encoders or a saved one: an adaptor is fitted on one hookpoint or fusion"
        )
    if any(candidate.reader.model.tower for candidate in resolved.candidates):
        raise CallError(
            f"'{spec}' is read in one tower of two, and no model of both has a place for an adaptor: adaptors rank "
            "scores it"
        )
