"""Options of `adaptors tune`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from encoder_surgery.adaptors_commands.training_flags import BatchSize, Longest, TrainingOutput
from encoder_surgery.shell.app import flag
from encoder_surgery.shell.options import Seed, check_rate, parse_dims
from probe.errors import CallError

if TYPE_CHECKING:
    from adaptors.finetuning.options import TuneOptions

__all__ = [
    "LossFlags",
    "NegativeFlags",
    "RowFlags",
    "ScheduleFlags",
    "TuneOutput",
    "WeightFlags",
    "is_unused",
    "read_options",
]

_COLUMNS = "Names of the columns in the file: anchor=question,positive=answer."


@dataclass(frozen=True)
class RowFlags:
    """The training rows."""

    panel: ClassVar[str] = "Data"

    columns: Annotated[str | None, flag(_COLUMNS, metavar="NAME=COLUMN,...")] = None
    hold_out: Annotated[
        float, flag("Share of the queries held out to choose the epoch; 0: last epoch.", min=0, max=0.9)
    ] = 0.1
    cross_encoder: Annotated[
        str | None, flag("Cross-encoder that scores the rows first, for margin-mse and distill-kl.")
    ] = None

    def values(self) -> dict[str, Any]:
        """Return the values as arguments of `TuneOptions.of`."""
        return {**asdict(self), "columns": _read_columns(self.columns)}


def _read_columns(text: str | None) -> dict[str, str]:
    columns: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, found, column = (piece.strip() for piece in part.partition("="))
        if not (name and found and column) or name in columns:
            raise CallError(f"--columns '{text}': expected NAME=COLUMN once each, e.g. anchor=question,positive=answer")
        columns[name] = column
    return columns


@dataclass(frozen=True)
class LossFlags:
    """The settings of a loss."""

    panel: ClassVar[str] = "Loss"

    wrap: Annotated[str | None, flag("Wrappers of the loss, innermost first: matryoshka,collapse-guard.")] = None
    dims: Annotated[str | None, flag("Matryoshka dimensions, comma-separated; default: full, half, quarter.")] = None
    temperature: Annotated[float | None, flag("Temperature (divides the similarities).")] = None
    margin: Annotated[float | None, flag("Margin between positives and negatives.")] = None
    symmetric: Annotated[bool, flag("Contrast documents with all queries as well (infonce).", "--symmetric")] = False
    mini_batch: Annotated[int | None, flag("Texts per forward pass (gradient cache), for large batches.", min=1)] = None
    guide: Annotated[str | None, flag("Model that filters false negatives (gist).")] = None
    weight: Annotated[float | None, flag("Weight of the regularizer (collapse-guard, ...).")] = None

    def values(self) -> dict[str, Any]:
        """Return the values as arguments of `TuneOptions.of`."""
        wrap = tuple(name.strip() for name in self.wrap.split(",")) if self.wrap else ()
        return {**asdict(self), "wrap": wrap, "dims": parse_dims(self.dims) if self.dims else ()}


@dataclass(frozen=True)
class ScheduleFlags:
    """The schedule of the training."""

    panel: ClassVar[str] = "Training"

    lr: Annotated[float | None, flag("Peak learning rate; default: 2e-5, with --lora 5e-4.", callback=check_rate)] = (
        None
    )
    batch_size: BatchSize = 32
    max_tokens: Longest = None
    warmup_ratio: Annotated[float, flag("Share of the steps for learning-rate warm-up.", min=0, max=1)] = 0.1
    seed: Seed = 0


@dataclass(frozen=True)
class WeightFlags:
    """The weights to train."""

    panel: ClassVar[str] = "Trained weights"

    lora: Annotated[int | None, flag("Train only LoRA matrices of this rank (needs the extra lora).", min=1)] = None
    last_blocks: Annotated[int | None, flag("Train only this many of the last blocks.", min=1)] = None
    layer_decay: Annotated[float, flag("Layer-wise learning-rate decay.")] = 1.0
    tower: Annotated[Literal["image", "text"] | None, flag("Train only one tower of a two-tower model.")] = None


@dataclass(frozen=True)
class NegativeFlags:
    """How hard negatives are mined."""

    panel: ClassVar[str] = "Hard negatives"

    rounds: Annotated[int, flag("Rounds of mining and training; 0: no mining.", min=0)] = 0
    num_negatives: Annotated[int, flag("Negatives per pair.", min=1)] = 5
    range_min: Annotated[int, flag("Nearest documents to skip, which may be unlabelled positives.", min=0)] = 10
    range_max: Annotated[int, flag("Nearest documents to consider.", min=1)] = 50
    relative_margin: Annotated[
        float, flag("Minimum distance of negatives below the positive, as a share of its score.", max=1)
    ] = 0.05


@dataclass(frozen=True)
class TuneOutput(TrainingOutput):
    """The output files and experiment tracker of `adaptors tune`."""

    report_to: Annotated[str, flag("Experiment tracker: wandb, tensorboard, ... (installed by you).")] = "none"


def read_options(**values: Any) -> "TuneOptions":
    """Return the tuning options from the values of all command options by name.

    Raises:
        CallError: A value is invalid.
    """
    from adaptors.finetuning.options import TuneOptions
    from adaptors.training.trainer import is_fast

    return TuneOptions.of(**values, bfloat16=is_fast())


def is_unused(option: str, values: Mapping[str, Any]) -> bool:
    """Return whether neither the loss nor its wrappers have an option; unknown losses are reported later."""
    from adaptors.finetuning.loss_catalog import find_loss, find_wrapper

    try:
        loss = find_loss(values["loss"])[0]
        wrappers = [find_wrapper(name.strip()) for name in (values["wrap"] or "").split(",") if name]
    except CallError:
        return False
    return not any(option in part.options for part in (loss, *wrappers))
