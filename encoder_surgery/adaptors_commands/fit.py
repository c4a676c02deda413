"""The command `adaptors fit`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.idle import Idle, refuses

__all__ = ["fit"]

Checkpoints = Annotated[Path | None, flag("Checkpoint folder; resumes automatically.")]
_KIND_HELP = (
    "truncate, pca, spectral, lens, distil, or a network: rotation, linear, scalar-mix, attention, residual, mlp, "
    "autoencoder; linear-original and mlp-original: as in the experiment compared with."
)


def _is_untrained(values: Mapping[str, Any]) -> bool:
    from adaptors.fitting.kinds import KINDS

    kind = KINDS.get(values["kind"])
    return kind is not None and not kind.is_trained


@friendly
@refuses(Idle(("steps", "lr", "checkpoint_dir", "report_to"), _is_untrained, "with {kind}, which is not trained"))
def fit(
    kind: Annotated[str, typer.Argument(help=_KIND_HELP)],
    on: Annotated[str, flag("What to adapt: one hookpoint, or a fusion by +.", "--on")],
    out: option.OutFolder,
    dataset: option.DatasetName = "docstrings",
    dims: Annotated[str | None, flag("Dimensions to score; the greatest is saved.")] = None,
    split: option.Split = None,
    labels: option.Labels = "none",
    loss: Annotated[str | None, flag("A loss other than the kind's own: similarity, ranking, margin, ...")] = None,
    steps: option.Steps = 300,
    lr: Annotated[float, flag("Learning rate at the first step.", callback=option.check_rate)] = 1e-3,
    seed: option.Seed = 0,
    checkpoint_dir: Checkpoints = None,
    report_to: Annotated[str, flag("Track the training: tensorboard, wandb, ... (installed by you).")] = "none",
    force: option.Force = False,
    drop_same_id: option.DropSameId = False,
    max_tokens: option.MaxTokens = None,
    *,
    trust: option.TrustFlag,
    store: option.StoreFlags,
) -> None:
    """Fit one adaptor, without labels unless told otherwise, and save it with its encoder; prints the folder.

    A lens maps into the full model's space: a cut query encoder with a lens can search an index that the full model
    built.
    """
    from adaptors.fitting.options import TrainOptions
    from encoder_surgery.shell.fit_model import FitRequest, fit_and_save

    lengths = option.parse_dims(dims) if dims else ()
    training = TrainOptions(loss, steps, lr, seed, checkpoint_dir, report_to)
    request = FitRequest(
        kind, on, lengths, dataset, split, out, force, store.open(), labels, training, drop_same_id=drop_same_id
    )
    fit_and_save(request, trust.load_options(dtype="float32", device="cpu", max_tokens=max_tokens))
