"""Check that a tuning is possible, before any text is encoded."""

from adaptors.finetuning.encoder import TrainableEncoder, check_tokens
from adaptors.finetuning.loss_build import make_tuning_loss
from adaptors.finetuning.loss_catalog import TUNING_LOSSES, WRAPPERS
from adaptors.finetuning.options import Goal, TuneOptions
from adaptors.rows.columns import LISTS
from adaptors.rows.load import TuningData
from adaptors.rows.rows import texts_of
from adaptors.training.callbacks import check_tracking
from adaptors.training.distributed import world_size
from probe.data.images import ImageFile
from probe.errors import CallError

__all__ = ["check_rows", "check_tuning"]

# They access the transformer module of sentence-transformers directly.
_OF_ONE_MODEL = frozenset({"gist", *(name for name, wrapper in WRAPPERS.items() if wrapper.reads_blocks)})


def check_tuning(encoder: TrainableEncoder, options: TuneOptions) -> None:
    """Check that the options are compatible with each other and with the encoder.

    Raises:
        CallError: They are not.
    """
    goal = options.goal
    check_tracking(options.report_to)
    if encoder.is_fused:
        _check_fused(encoder, goal)
    if encoder.is_paired:
        _check_paired(encoder, options)
    make_tuning_loss(goal.loss, encoder.model, goal.settings, wrap=goal.wrap)
    if options.cross_encoder is not None and TUNING_LOSSES[goal.loss].layout is not LISTS:
        fitting = ", ".join(name for name, loss in TUNING_LOSSES.items() if loss.layout is LISTS)
        raise CallError(f"'{goal.loss}' does not distil scores: leave out the cross-encoder, or choose {fitting}")
    _check_batch(goal.loss, options.schedule.batch_size)
    _check_processes(goal, options.schedule.batch_size)
    if not encoder.is_fused:
        check_tokens(encoder.model, options.schedule.max_tokens)


def check_rows(encoder: TrainableEncoder, data: TuningData) -> None:
    """Check that rows have images exactly if the encoder has an image tower.

    Raises:
        CallError: They do not match.
    """
    has_images = any(isinstance(text, ImageFile) for text in texts_of(data.rows))
    if has_images and not encoder.is_paired:
        raise CallError(
            f"'{data.name}' has images, and '{encoder.name}' supports only text: choose a model with an image tower, "
            "such as clip"
        )
    if encoder.is_paired and not has_images:
        raise CallError(
            f"'{data.name}' has only texts, and both towers of '{encoder.name}' are trained: expected a folder of "
            "images with captions"
        )


def _check_paired(encoder: TrainableEncoder, options: TuneOptions) -> None:
    """Reject options that would treat images as texts, or put both into one column."""
    goal = options.goal
    for name in (goal.loss, *goal.wrap):
        if name in _OF_ONE_MODEL:
            raise CallError(f"'{name}' is for text encoders, and '{encoder.name}' has two towers: leave it out")
    if not TUNING_LOSSES[goal.loss].layout.has_sides:
        raise CallError(
            f"'{goal.loss}' puts both sides of a pair into one column, and '{encoder.name}' has a tower for each: "
            "choose infonce or alignment-anisotropy"
        )
    if options.cross_encoder is not None:
        raise CallError("a cross-encoder scores pairs of texts: leave it out for images")
    if options.schedule.max_tokens is not None:
        raise CallError(f"'{encoder.name}' has a fixed input length for captions: leave out --max-tokens")


def _check_processes(goal: Goal, batch: int) -> None:
    """Check that several processes can share the training."""
    if batch % (count := world_size()):
        raise CallError(f"--batch-size {batch}: expected a multiple of {count}, as {count} processes share it")
    for name in goal.wrap:
        if WRAPPERS[name].reads_blocks and count > 1:
            raise CallError(f"'{name}' does not support several processes: start one process, or leave it out")


def _check_fused(encoder: TrainableEncoder, goal: Goal) -> None:
    for name in (goal.loss, *goal.wrap):
        if name in _OF_ONE_MODEL:
            raise CallError(
                f"'{name}' is for encoders of one model, and '{encoder.name}' is a fused model: leave it out"
            )


def _check_batch(loss: str, batch: int) -> None:
    """Check that a batch of a class loss can have two texts each of two or more classes."""
    if TUNING_LOSSES[loss].layout.sampler == "group_by_label" and (batch < 4 or batch % 2):
        raise CallError(f"--batch-size {batch}: the loss '{loss}' needs an even number of at least 4")
