"""Options of the commands that train the encoder itself: `adaptors tune` and `adaptors heal`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.options import Force, WeightsDtype
from encoder_surgery.shell.output import check_file, check_plot, say, write_file
from encoder_surgery.shell.panels import MAIN_PANEL
from encoder_surgery.shell.save_model import say_saved

if TYPE_CHECKING:
    from adaptors.finetuning.saved import TrainingResult

__all__ = ["BatchSize", "FittedDims", "Longest", "OutFolder", "TrainingOutput"]

OutFolder = Annotated[
    Path | None, flag("Output folder; default: named after the model.", "--out", "-o", panel=MAIN_PANEL)
]
FittedDims = Annotated[
    str | None, flag("Dimensions to keep, comma-separated; default: full, half, quarter of the width.")
]
BatchSize = Annotated[int, flag("Batch size.", min=2)]
Longest = Annotated[int | None, flag("Maximum input length while training; default: the model's own.", min=8)]


@dataclass(frozen=True)
class TrainingOutput:
    """The files of a training."""

    panel: ClassVar[str] = "Output"

    checkpoint_dir: Annotated[Path | None, flag("Checkpoint folder; resumes automatically.")] = None
    log: Annotated[Path | None, flag("Training metrics, one JSON object per line (.jsonl).")] = None
    plot: Annotated[Path | None, flag("Plot of a batch's similarities before and after (needs the extra plot).")] = None
    force: Force = False
    weights_dtype: WeightsDtype = None

    def check(self, out: Path, model: str) -> None:
        """Check, before the work, that the files and folders can be written, and the model's weights in their dtype."""
        from surgery.saving.save import check_out

        check_out(out, self.force)
        check_file("--log", self.log, (".jsonl",), force=self.force or self.checkpoint_dir is not None)
        check_plot(self.plot, force=self.force)
        if self.weights_dtype is not None:
            from probe.models.sources import find_source
            from surgery.saving.weights import check_storable

            check_storable(find_source(model).folder, self.weights_dtype)

    def write(self, result: "TrainingResult", out: Path, beside: str) -> None:
        """Plot if requested, save the trained encoder, and print its folder.

        Args:
            result: The trained encoder.
            out: Output folder.
            beside: Encoders to compare it with, as specs.
        """
        if self.plot is not None:
            write_file(self.plot, result.plot)
        say(f"saving {out} and checking it in a fresh process")
        result.save(out, force=self.force, weights_dtype=self.weights_dtype)
        spec = shlex.quote(str(out))
        is_pair = result.tuned.encoder.is_paired
        say(f"compare: {f'probe layers {spec}@image' if is_pair else f'probe rank {beside} {spec}'} -d DATASET")
        say_saved(out)
