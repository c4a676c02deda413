"""Fit one adaptor on one encoder, score it beside the frozen one, and save the two as a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from adaptors.encoders.adapted import AdaptedEncoder, AdaptedModel
from adaptors.encoders.folder import About, save_adapted
from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.compare import FitPlan, fit_adaptors
from adaptors.fitting.data import FitSource, FitTexts, as_several, as_several_texts, select_fit_data, several_texts
from adaptors.fitting.kinds import KINDS, check_kinds
from adaptors.fitting.options import TrainOptions, usual_dims
from adaptors.fitting.states import final_fusion
from adaptors.quantizing.quantizer import Quantizer
from probe.data.dataset import Dataset
from probe.encoding.opening import name_reader, open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, check_type
from probe.evaluation.fusion import Fusion
from probe.experiments.given import Rankable, ResolvedSpecs, as_specs
from probe.experiments.matrix import rank_datasets
from probe.experiments.options import RunOptions
from probe.experiments.ranking import rank_candidates
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard
from probe.results.row import FLOAT_BITS
from probe.sources.loading import load_dataset
from probe.sources.several import as_datasets
from surgery.cutting.cut import EXACT
from surgery.fusing.model import FusedModel, widths_of
from surgery.scoring import card_section

__all__ = ["FittedModel", "check_single", "fit", "select_texts"]


@dataclass(frozen=True, repr=False)
class FittedModel(AdaptedModel):
    """An encoder with a fitted adaptor, with its models in memory.

    Attributes:
        board: Its scores beside the frozen encoder; a `DatasetMatrix` if it was fitted on several data sets.
        quantizer: Quantizer of its documents, if the options had a size of stored vectors.
    """

    board: Leaderboard
    quantizer: Quantizer | None = None

    def open(self, options: LoadOptions = EXACT) -> AdaptedModel:
        """Return the same encoder with its models loaded again with options; a model given in memory is reused."""
        readers = tuple(_reopen(reader, options) for reader in self.readers)
        return AdaptedModel(FusedModel(readers, self.encoder.fusion), self.encoder)

    def save(
        self,
        out: str | Path,
        *,
        force: bool = False,
        options: LoadOptions = EXACT,
        words: str = "",
        weights_dtype: str | None = None,
        check: Callable[[Path, AdaptedModel], object] | None = None,
    ) -> Path:
        """Save a model for `load_encoder`; a linear adaptor on one hookpoint loads without this package, too.

        Args:
            out: Folder to create; it is written completely or not at all.
            force: Replace a folder written by an earlier save.
            options: How to load the models that are written.
            words: Text for the model card after the scores.
            weights_dtype: Store all weights in `float32`, `float16` or `bfloat16`; default: as the originals' files do,
                and the adaptor in float32. The model is loaded in float32 all the same.
            check: Called with the finished folder and the model before the folder is renamed to `out`; if it raises,
                nothing is saved. Default: load the folder in this process and compare its vectors.

        Returns:
            The folder.

        Raises:
            CallError: The folder exists, or the dtype is unknown.
            ModelError: The files cannot be written, or float16 cannot hold the weights.
        """
        model = self.open(options)
        about = About(self.board.settings["dataset"]["name"], card_section(self.board) + words)
        return save_adapted(
            self.encoder,
            model.readers,
            Path(out),
            about=about,
            force=force,
            check=None if check is None else (lambda folder: check(folder, model)),
            weights_dtype=weights_dtype,
            quantizer=self.quantizer,
        )


def _reopen(reader: LayerReader, options: LoadOptions) -> LayerReader:
    source = reader.model.source
    return name_reader(open_reader(source.typed, options), source.name) if source.typed else reader


def fit(
    kind: str,
    spec: "Rankable" = "minilm",
    data: FitSource | Sequence[FitSource] = "docstrings",
    *,
    dims: int | Sequence[int] | None = None,
    split: str | None = None,
    labels: str = "none",
    training: TrainOptions | None = None,
    options: RunOptions | None = None,
) -> FittedModel:
    """Fit one adaptor on one encoder, by default without labels, and score it beside the frozen encoder.

    Args:
        kind: One of `KINDS`, such as `lens`, `distil` or `pca`.
        spec: One hookpoint, or a fusion: a spec, or a model or an encoder in memory.
        data: The data set to fit to, or its name or path; or texts selected from one. With several, one adaptor is
            fitted to the texts of all, and scored on each.
        dims: Dimensions to score; the result has the largest. Default: the full, half and quarter width of the encoder
            (of the final embedding if the adaptor maps to it); an empty sequence means the full width only.
        split: The split to score; default: `test`.
        labels: The split whose relevance labels may be used, `train` or `dev`, or `none`.
        training: How a network is trained.
        options: How to run, and at most one size of stored vectors.

    Returns:
        The encoder with its adaptor.

    Raises:
        CallError: The kind, the spec, the labels or the dimensions are wrong.
        TrainingError: The training failed.
    """
    options, training = _one_size(RunOptions.of(options)), training or TrainOptions()
    _check_kind(kind, labels, training)
    texts = select_texts(data, split, labels)
    resolved = resolve_specs(as_specs([spec]), options.load, options.store, similarity=options.similarity)
    check_single(resolved)
    shown = _beside_full(resolved) if KINDS[kind].maps_to_final else resolved
    readers = tuple(candidate.reader for candidate in resolved.candidates)
    wanted = (dims,) if isinstance(dims, int) else dims
    width = sum(widths_of(cast(Fusion, shown.baseline).points, readers))
    chosen = usual_dims(width) if wanted is None else tuple(wanted) or (width,)
    plan = FitPlan((kind,), chosen, training, only_labelled=True)
    fitted = fit_adaptors(resolved, plan, texts, options=options)
    encoders = [*shown.fusions, *fitted.ranked]
    datasets = as_datasets([one.corpus for one in texts])

    def rank_on(name: str, dataset: Dataset) -> Leaderboard:
        """Rank on one data set."""
        here = options.named(name) if len(datasets) > 1 else options
        notes = fitted.notes_on(dataset)
        board = rank_candidates(shown.candidates, dataset, str(shown.baseline), options=here, fusions=encoders)
        return replace(board, settings={**board.settings, "adaptors": notes})

    best: AdaptedEncoder = max(fitted.adapted, key=lambda encoder: encoder.dim)
    board = rank_datasets(datasets, rank_on, seed=options.seed)
    return FittedModel(FusedModel(readers, best.fusion), best, board, fitted.quantizer_of(best))


def select_texts(data: FitSource | Sequence[FitSource], split: str | None, labels: str) -> tuple[FitTexts, ...]:
    """Return the texts of one or several data sets, given as in `fit`.

    Raises:
        CallError: They are something else, or a split is given for a data set in memory.
    """
    if split is None:
        return as_several_texts(data, labels)
    several = as_several(data)
    if not all(isinstance(one, str | Path) for one in several):
        raise CallError(f"split '{split}' is for the name or path of a data set: load that split with load_dataset")
    return several_texts([select_fit_data(str(one), load_dataset(str(one), split), labels) for one in several])


def _one_size(options: RunOptions) -> RunOptions:
    """Return options that rank the uncompressed encoder, too, given those of at most one size of stored vectors."""
    plan = options.storage
    if len(plan.bits) + len(plan.sizes) > 1 or plan.rescore:
        raise CallError("a saved model stores vectors in one size: give a single number of bits or of bytes")
    return replace(options, storage=replace(plan, bits=(*plan.bits, FLOAT_BITS))) if plan.compresses else options


def _check_kind(kind: str, labels: str, training: TrainOptions) -> None:
    check_type("kind", kind, str, expected="the name of a kind of adaptor, such as 'lens'")
    check_type("training", training, TrainOptions)
    check_kinds([kind])
    if labels != "none" and not KINDS[kind].uses_labels:
        having = ", ".join(name for name, one in KINDS.items() if one.uses_labels)
        raise CallError(f"'{kind}' uses no relevance labels: leave out --labels, or choose one of {having}")
    if training.loss is not None and not KINDS[kind].uses_labels:
        raise CallError(f"'{kind}' has a fixed loss: leave out --loss")
    if not training.bias and not KINDS[kind].drops_bias:
        having = ", ".join(name for name, one in KINDS.items() if one.drops_bias)
        raise CallError(f"'{kind}' has no bias that can be left out: leave out --no-bias, or choose one of {having}")


def _beside_full(resolved: ResolvedSpecs) -> ResolvedSpecs:
    """Add the full model, whose embedding is the target, as the baseline: beating the raw cut means little."""
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    full = final_fusion(readers, cast(Fusion, resolved.baseline))
    if len(full.points) > 1:
        return ResolvedSpecs(resolved.candidates, tuple(dict.fromkeys((full, *resolved.fusions))), full)
    (candidate,) = resolved.candidates
    points = tuple(dict.fromkeys((*full.points, *candidate.hookpoints)))
    return ResolvedSpecs((replace(candidate, hookpoints=points),), resolved.fusions, full)


def check_single(resolved: ResolvedSpecs) -> None:
    """Check that specs mean one encoder that can have an adaptor.

    Raises:
        CallError: They mean several, a saved one, the embeddings only, or a tower.
    """
    spec = resolved.baseline
    encoders = sum(len(candidate.hookpoints) for candidate in resolved.candidates) + len(resolved.fusions)
    if encoders != 1 or not isinstance(spec, Fusion):
        raise CallError(
            f"'{spec}' means {encoders} encoders or a saved one: expected a single hookpoint or fusion to adapt"
        )
    if [point.layer_pooling[0] for point in spec.points] == [0]:
        raise CallError(
            f"'{spec}' is layer 0, the embeddings only, not an encoder: expected layer 1 or higher; adaptors rank can "
            "score it"
        )
    if any(candidate.reader.model.tower for candidate in resolved.candidates):
        raise CallError(
            f"'{spec}' is one tower of two, and a two-tower model cannot have an adaptor: adaptors rank can score it"
        )
