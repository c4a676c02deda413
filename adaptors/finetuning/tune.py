"""Tune an encoder on labelled rows, from names to a result that can be saved."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adaptors.finetuning.card import describe_tuning, trained_on
from adaptors.finetuning.encoder import Trainable, TrainableEncoder, open_trainable
from adaptors.finetuning.evaluator import RowSample
from adaptors.finetuning.lora import check_peft
from adaptors.finetuning.loss_catalog import WRAPPERS
from adaptors.finetuning.options import Goal, TuneOptions
from adaptors.finetuning.rounds import Round, train_rounds
from adaptors.finetuning.saved import TrainingResult, Tuned, trained_files
from adaptors.fitting.options import usual_dims
from adaptors.rows.hard_negatives import candidate_texts
from adaptors.rows.load import TuningData, load_tuning_data, pair_labelled
from adaptors.training.distributed import is_first
from adaptors.training.epochs import Epoch, describe_choice, epochs_section
from adaptors.training.trainer import is_fast
from probe.data.dataset import Dataset
from probe.errors import CallError, DataError, check_type
from surgery.saving.save import check_out

__all__ = ["TuneResult", "tune"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TuneResult(TrainingResult):
    """A tuned encoder.

    Attributes:
        rounds: The rounds of its training, in order; a single one without mining.
    """

    rounds: tuple[Round, ...]

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """The epochs of the last round; 0 is before its first step. Empty if no rows were held out."""
        return self.rounds[-1].epochs


def tune(
    model: Trainable,
    data: str | Path | Dataset | TuningData,
    *,
    out: str | Path | None = None,
    force: bool = False,
    options: TuneOptions | None = None,
    **settings: Any,
) -> TuneResult:
    """Fine-tune the encoder itself on labelled rows, with sentence-transformers' trainer.

    The result has the weights of the best epoch by nDCG@10 on held-out queries, which may be the start.

    Args:
        model: Alias, hub id or folder, including cut, fused, adapted and tuned models. A `SentenceTransformer`, or the
            result of `cut`, `keep` or `fuse`, is copied first.
        data: A JSONL or CSV file of rows or a data set with a split `train`, as for `load_tuning_data`, or its result;
            or the split `train` or `dev` of a data set in memory.
        out: Output folder; None to save nothing.
        force: Overwrite the folder of an earlier save.
        options: Options of the training.
        settings: Single options instead of `options`, named as in `adaptors tune`: `loss="hinge"`, `epochs=1`.

    Returns:
        The encoder with the epochs of its training.

    Raises:
        CallError: The encoder, the rows or an option is invalid, or the folder exists.
        DataError: The rows are malformed.
        TrainingError: The vectors collapsed, or the loss is not finite.
    """
    chosen = _choose_options(options, settings)
    if out is not None:
        check_out(Path(out), force)
    if chosen.scope.lora is not None:
        check_peft()
    rows = _load_rows(data, chosen)
    if not rows.rows:
        raise DataError(f"'{rows.name}' has no training rows: expected at least one")
    for defect in rows.defects:
        _log.info("%s: %s", rows.name, defect)
    encoder = open_trainable(model)
    _log.info("loaded %s and %s", rows.name, encoder.name)
    trained_files(encoder, encoder.folder)  # fails before the training if the result could not be saved
    chosen = replace(chosen, goal=_complete(chosen.goal, encoder))
    look = RowSample(encoder.model, rows.rows) if chosen.sample else None
    before = [look()] if look else []
    rounds = train_rounds(encoder, rows, candidate_texts(rows), options=replace(chosen, goal=_open_guide(chosen.goal)))
    samples = (*before, look()) if look else ()
    tuned = _describe(encoder, rows, chosen, rounds=rounds)
    result = TuneResult(tuned=tuned, rounds=rounds, samples=samples)
    if out is not None and is_first():
        result.save(out, force=force)
    return result


def _load_rows(data: str | Path | Dataset | TuningData, options: TuneOptions) -> TuningData:
    if options.columns and not isinstance(data, str | Path):
        raise CallError("columns are for a file of rows: leave them out")
    if isinstance(data, TuningData):
        return data
    if isinstance(data, Dataset):
        if data.split not in ("train", "dev"):
            raise CallError(
                f"the split '{data.split}' of '{data.name}' is for scoring, not training: load train or dev"
            )
        return pair_labelled(data)
    check_type("data", data, str | Path, expected="a file of rows, a data set, or the result of load_tuning_data")
    return load_tuning_data(data, columns=options.columns)


def _choose_options(options: TuneOptions | None, settings: dict[str, Any]) -> TuneOptions:
    if options is not None and settings:
        raise CallError(f"options and {next(iter(settings))} exclude each other: give only one of them")
    return options or TuneOptions.of(**{"bfloat16": is_fast(), **settings})


def _complete(goal: Goal, encoder: TrainableEncoder) -> Goal:
    """Return an objective with default prefix lengths if a wrapper needs them and none are given."""
    if goal.settings.dims or not any("dims" in WRAPPERS[name].needs for name in goal.wrap):
        return goal
    dims = usual_dims(int(encoder.model.get_embedding_dimension() or 0))
    return replace(goal, settings=replace(goal.settings, dims=dims))


def _open_guide(goal: Goal) -> Goal:
    """Return an objective with its guide model loaded."""
    if not isinstance(goal.settings.guide, str):
        return goal
    return replace(goal, settings=replace(goal.settings, guide=open_trainable(goal.settings.guide).model))


def _describe(encoder: TrainableEncoder, data: TuningData, options: TuneOptions, *, rounds: Sequence[Round]) -> Tuned:
    words = describe_tuning(data, options, rounds)
    sections = "".join(epochs_section(one.epochs) for one in rounds)
    chosen = [describe_choice(one.epochs) for one in rounds if one.epochs]
    facts = {"loss": options.goal.loss, "rows": [one.rows for one in rounds], "kept": chosen}
    return Tuned(encoder, trained_on(data), Path(encoder.name).name, words + sections, facts)
