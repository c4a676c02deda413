"""The command `adaptors fit`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from encoder_surgery.adaptors_commands.map_flags import MapFlags, fit_map_and_save
from encoder_surgery.adaptors_commands.training_flags import FittedDims, OutFolder
from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.completion import complete_specs
from encoder_surgery.shell.datasets import SampleFlags, Splits
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.positional import positional
from encoder_surgery.shell.storage import SizeFlags
from probe.errors import CallError, did_you_mean

__all__ = ["fit", "name_adaptor"]

_KIND_HELP = (
    "truncate, pca, spectral, lens, distil, map (between two models), or a network: rotation, linear, scalar-mix, "
    "attention, residual, mlp, autoencoder, linear-original, mlp-original."
)
_MAP = "map"
_OF_NETWORKS = ("labels", "loss", "steps", "lr", "checkpoint_dir", "report_to")

FittedSpec = Annotated[str, positional(option.SPEC, "--model", "-m", "--from", complete=complete_specs)]


def _is_untrained(values: Mapping[str, Any]) -> bool:
    from adaptors.fitting.kinds import KINDS

    kind = KINDS.get(values["kind"])
    return kind is not None and not kind.is_trained


def _keeps_bias(values: Mapping[str, Any]) -> bool:
    from adaptors.fitting.kinds import KINDS

    kind = KINDS.get(values["kind"])
    return kind is not None and not kind.drops_bias


def _has_own_loss(values: Mapping[str, Any]) -> bool:
    from adaptors.fitting.kinds import KINDS

    kind = KINDS.get(values["kind"])
    return kind is not None and not kind.uses_labels


def _is_map(values: Mapping[str, Any]) -> bool:
    return bool(values["kind"] == _MAP)


@dataclass(frozen=True)
class NetworkFlags:
    """How a network is trained."""

    panel: ClassVar[str] = "Training"

    labels: option.Labels = "none"
    loss: Annotated[str | None, flag("Loss; default: the kind's own. See `adaptors losses`.")] = None
    steps: option.Steps = None
    lr: Annotated[
        float | None, flag("Initial learning rate. Default: 0.004 or 0.001, by kind.", callback=option.check_rate)
    ] = None
    seed: option.Seed = 0
    checkpoint_dir: Annotated[Path | None, flag("Checkpoint folder; resumes automatically.")] = None
    report_to: Annotated[str, flag("Experiment tracker: wandb, tensorboard, ... (installed by you).")] = "none"


@dataclass(frozen=True)
class ScoreFlags(SampleFlags):
    """How the adaptor is scored."""

    panel: ClassVar[str] = "Data"

    split: Splits = None
    metric: option.MetricName = "ndcg@10"
    similarity: option.Similarity = "own"
    drop_same_id: option.DropSameId = False


@friendly
@refuses(
    Idle(("steps", "lr", "checkpoint_dir", "report_to"), _is_untrained, "with {kind}, which is not trained"),
    Idle(("loss",), _has_own_loss, "with {kind}, which has a fixed loss"),
    Idle(_OF_NETWORKS, _is_map, "with a map, which is not trained"),
    Idle(("dims",), _is_map, "with a map, whose dimensions are those of the other model"),
    Idle(("bits", "bytes"), _is_map, "with a map, whose documents stay in float32"),
    Idle(("to", "map", "rank"), lambda values: not _is_map(values), "with {kind}, which stays in one model's space"),
    Idle(("no_bias",), _keeps_bias, "with {kind}, which has no bias that can be left out"),
)
def fit(
    kind: Annotated[str, typer.Argument(help=_KIND_HELP, metavar="KIND")],
    spec: FittedSpec = "minilm",
    dataset: option.DatasetNames = None,
    dims: FittedDims = None,
    out: OutFolder = None,
    *,
    no_bias: option.NoBias = False,
    data: ScoreFlags,
    mapping: MapFlags,
    training: NetworkFlags,
    loading: option.EncodeFlags,
    store: option.StoreFlags,
    force: option.Force = False,
    weights_dtype: option.WeightsDtype = None,
    size: SizeFlags,
) -> None:
    """Fit one adaptor, without labels by default, and save it with its encoder; prints the folder.

    A lens maps to the full model's space: with it a cut encoder of queries can search an index of the full model.
    A map does so between two models: adaptors fit map minilm --to mpnet.
    """
    from adaptors.fitting.kinds import KINDS
    from adaptors.fitting.options import TrainOptions
    from encoder_surgery.shell.fit_model import FitRequest, fit_and_save

    if kind not in (_MAP, *KINDS):
        hint = did_you_mean(kind, [_MAP, *KINDS])
        raise CallError(f"unknown adaptor '{kind}': {hint} (expected adaptors fit KIND [MODEL], kind first)")
    request = FitRequest(
        kind=kind,
        spec=spec,
        dims=option.parse_dims(dims) if dims else None,
        datasets=dataset or ["docstrings"],
        splits=data.split,
        out=out or Path(name_adaptor(spec, kind)),
        force=force,
        store=store.open(),
        labels=training.labels,
        training=TrainOptions(
            loss=training.loss,
            steps=training.steps,
            lr=training.lr,
            seed=training.seed,
            checkpoint_dir=training.checkpoint_dir,
            report_to=training.report_to,
            bias=not no_bias,
        ),
        similarity=data.similarity,
        drop_same_id=data.drop_same_id,
        limit=data.size,
        metric=data.metric,
        weights_dtype=weights_dtype,
        storage=size.plan(),
    )
    if kind == _MAP:
        fit_map_and_save(request, mapping, loading.load_options())
    else:
        fit_and_save(request, loading.load_options())


def name_adaptor(spec: str, kind: str) -> str:
    """Return the default folder name of an adaptor: the model and layer of every hookpoint, then the kind."""
    from encoder_surgery.shell.save_model import name_folder
    from probe.layers.hookpoint import split_fusion, split_name, split_spec

    given = split_name(spec)[0]
    if given:
        return f"{given}-{kind}"
    parts = [(name_folder(part.model), part.layers or "") for part in map(split_spec, split_fusion(spec))]
    names = ["-".join(filter(None, (model, layer))) for model, layer in parts]
    return re.sub(r"[^\w.+-]", "-", f"{'+'.join(names)}-{kind}")
