"""The command `surgery fuse`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.completion import complete_specs
from encoder_surgery.shell.idle import refuses
from encoder_surgery.shell.output import say
from encoder_surgery.shell.positional import positional
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.save_model import NO_SCORING, CardFlags, FolderFlags, name_folder, say_saved
from probe.errors import CallError
from probe.layers.hookpoint import split_fusion, split_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptors.choosing.fusion_weights import TunedWeights
    from probe.data.dataset import Dataset
    from probe.metrics.retrieval import Metric
    from probe.store.store import Store
    from surgery.fusing.model import FusedModel

__all__ = ["fuse"]

_SPECS = "Two or more hookpoints: model\\[@layer]\\[:pooling]."


@friendly
@refuses(NO_SCORING)
def fuse(
    specs: Annotated[list[str], positional(_SPECS, "--model", "-m", complete=complete_specs)],
    method: Annotated[
        Literal["concat", "mean", "weighted"], flag("How vectors are joined; mean and weighted need equal widths.")
    ] = "concat",
    weights: Annotated[str | None, flag("Weights with commas, as 0.3,0.7; default: equal.")] = None,
    tune_weights: Annotated[
        bool, flag("Choose the weights on --split of --dataset; of several, the best on average.", "--tune-weights")
    ] = False,
    split: Annotated[Literal["train", "dev"] | None, flag("Split that chooses the weights.")] = None,
    *,
    folder: FolderFlags,
    loading: option.PromptFlags,
    card: CardFlags,
) -> None:
    """Fuse hookpoints of one or several models into one encoder and save it; prints its folder."""
    from probe.metrics.retrieval import Metric
    from surgery.fusing.folder import save
    from surgery.fusing.model import fuse as fuse_models
    from surgery.saving.fresh_process import check_encoder
    from surgery.saving.save import check_out
    from surgery.scoring import score_fused

    _check_tuning(tune_weights, weights, split, datasets=card.dataset)
    ranked_by, chosen = Metric.parse(card.metric), _parse_weights(weights)
    scored = loading.load_options()
    out = folder.out or Path("-".join(map(_short_name, specs)))
    check_out(out, folder.force)
    store = card.open()
    joined: str = method
    if tune_weights:
        plain = "concat" if method == "concat" else "mean"
        equal = fuse_models(specs, plain, None, options=scored, store=store)
        chosen = _tune(equal, card, split, metric=ranked_by, store=store)
        joined = plain if chosen is None or plain == "concat" else "weighted"

    model = fuse_models(specs, joined, chosen, options=loading.load_options(dtype="float32", device="cpu"))
    scores = card.score(
        None,
        store,
        lambda data, ranking: score_fused(
            fuse_models(specs, joined, chosen, options=scored, store=store), data, ranking
        ),
    )
    say(f"saving {out} and checking it in a fresh process")
    save(
        model,
        out,
        force=folder.force,
        check=lambda made: check_encoder(made, model, trust=True),
        scores=scores,
        weights_dtype=folder.weights_dtype,
    )
    say_saved(out)


def _check_tuning(tune: bool, weights: str | None, split: str | None, *, datasets: list[str] | None) -> None:
    if not tune and split is not None:
        raise CallError("--split is the split that chooses the weights: add --tune-weights, or remove it")
    if tune and not datasets:
        raise CallError("--tune-weights needs --dataset, and --split train or dev")
    if tune and split not in ("train", "dev"):
        raise CallError(f"--tune-weights needs --split train or dev, not {split or 'test'}: test is for scoring only")
    if tune and weights is not None:
        raise CallError("--weights and --tune-weights exclude each other: give only one of them")


def _parse_weights(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise CallError(f"--weights '{text}': expected one number per hookpoint, such as 0.3,0.7") from None


def _short_name(spec: str) -> str:
    """Return a spec without characters that are awkward in folder names."""
    parts = [split_spec(part) for part in split_fusion(spec)]
    return "-".join(word for part in parts for word in (name_folder(part.model), part.layers, part.pooling) if word)


def _tune(
    model: "FusedModel", card: CardFlags, split: str | None, *, metric: "Metric", store: "Store | None"
) -> tuple[float, ...] | None:
    """Return the best weights on a train or dev split, or None if equal weights are as good."""
    from adaptors.choosing.fusion_weights import tune_weights
    from probe.sources.loading import load_dataset
    from probe.sources.several import request_datasets

    with working() as report:
        requests = request_datasets(card.dataset or (), [split] if split else ())
        data = [load_dataset(one.name, one.split, drop_same_id=card.drop_same_id) for one in requests]
        found = tune_weights(model, data, metric, store=store, progress=report)
    measured = (
        f"{metric} {found.score:.4f}, equal weights {found.equal_score:.4f} on {_name_sets(data, found)}; "
        f"best of {found.candidates}, corrected p {found.p_value:.2g}"
    )
    if found.weights is None:
        say(f"keeping equal weights: no others are significantly better ({measured})")
        return None
    say(f"weights {', '.join(f'{weight:.2f}' for weight in found.weights)} ({measured})")
    return found.weights


def _name_sets(data: "Sequence[Dataset]", found: "TunedWeights") -> str:
    """Return the data sets that the weights were chosen on; of several, with both scores on each."""
    if len(data) == 1:
        return f"{data[0].name} ({data[0].split})"
    scores = zip(data, found.set_scores, found.set_equal_scores, strict=True)
    shown = [f"{one.name} ({one.split}) {score:.4f}, equal {equal:.4f}" for one, score, equal in scores]
    return f"the mean of {len(data)} data sets: {'; '.join(shown)}"
