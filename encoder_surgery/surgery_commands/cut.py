"""The command `surgery cut`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.datasets import Splits, load_all
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.save_model import (
    NO_SCORING,
    CardFlags,
    FolderFlags,
    make_and_save,
    name_folder,
    refuse_for_tower,
    say_saved,
)
from probe.errors import CallError
from probe.layers.hookpoint import split_tower

if TYPE_CHECKING:
    from surgery.cutting.blocks import CutModel

__all__ = ["cut"]

_LENS = "Add a lens: a linear map to the full model's embedding, fitted on --dataset without labels."


@friendly
@refuses(NO_SCORING, Idle(("no_bias",), lambda values: not values["lens"], "without --lens"))
def cut(
    model: option.Model = "minilm",
    *,
    after: Annotated[int, flag("Last block to keep, counted from 1; 0: one vector per token.")],
    pooling: option.CutPooling = None,
    lens: Annotated[bool, flag(_LENS, "--lens")] = False,
    no_bias: option.NoBias = False,
    split: Splits = None,
    folder: FolderFlags,
    loading: option.PromptFlags,
    card: CardFlags,
) -> None:
    """Remove all blocks after block --after and save a standard model; prints its folder.

    With --after 0, no block is left: one vector per token, fitted on --dataset without labels, and averaged.
    """
    from probe.encoding.opening import open_reader
    from probe.models.loading import load_model
    from surgery.cutting.cut import cut as cut_model
    from surgery.scoring import score_cut

    refuse_for_tower(model, {"--lens": lens, "--dataset": card.dataset})
    options = loading.load_options(dtype="float32", device="cpu")
    if after == 0 and not split_tower(model)[1]:
        _refuse_for_static({"--lens": lens, "--pooling": pooling})
        _cut_static(model, split, folder, card=card, loading=loading)
        return
    out = folder.out or Path(f"{name_folder(model)}-after-{after}{'-lens' if lens else ''}")
    if lens:
        if not card.dataset:
            raise CallError("--lens is fitted to the texts of a data set: add --dataset, such as -d docstrings")
        spec = f"{model}@{after}{f':{pooling}' if pooling else ''}"
        _fit_lens(spec, split, out, bias=not no_bias, folder=folder, card=card, loading=loading)
        heal = shlex.join(["adaptors", "heal", str(out), *(part for name in card.dataset for part in ("-d", name))])
        say(f"to recover more of the full model's quality, train it towards the full model's vectors: {heal}")
        return
    changed = make_and_save(
        lambda: cut_model(load_model(model, options), after),
        out,
        lambda data, ranking: score_cut(
            open_reader(model, loading.load_options(), ranking.store), after, pooling, dataset=data, options=ranking
        ),
        card=card,
        splits=split,
        pooling=pooling,
        folder=folder,
        trust=loading.trust_remote_code,
    )
    if len(changed.blocks) < changed.original_depth:
        _warn_of_head(changed)
        say(f"a raw cut can lose most of a model's retrieval quality: {_advise(model, str(out))}")


def _warn_of_head(changed: "CutModel") -> None:
    """Warn of modules after the pooling with weights: they are saved with a cut, though made for the last layer."""
    names = [type(module).__name__ for module in list(changed.pipeline or ())[1:] if list(module.parameters())]
    if names:
        say(f"warning: the original's {', '.join(names)} after the pooling was made for its last layer and is kept")


def _fit_lens(
    spec: str,
    splits: list[str] | None,
    out: Path,
    *,
    bias: bool,
    folder: FolderFlags,
    card: CardFlags,
    loading: option.PromptFlags,
) -> None:
    """Fit a lens on the data sets of the card, jointly, and save it with the cut."""
    from adaptors.fitting.options import TrainOptions
    from encoder_surgery.shell.fit_model import FitRequest, fit_and_save

    request = FitRequest(
        kind="lens",
        spec=spec,
        dims=(),
        datasets=card.dataset or (),
        splits=splits,
        out=out,
        force=folder.force,
        weights_dtype=folder.weights_dtype,
        store=card.open(),
        training=TrainOptions(seed=card.seed, bias=bias),
        similarity=card.similarity,
        drop_same_id=card.drop_same_id,
        limit=card.size,
        metric=card.metric,
    )
    fit_and_save(request, loading.load_options())


def _refuse_for_static(options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise CallError(
            f"--after 0 {given[0]}: a cut without blocks averages one vector per token, fitted to the full model's: "
            f"leave out {given[0]}"
        )


def _cut_static(
    model: str, splits: list[str] | None, folder: FolderFlags, *, card: CardFlags, loading: option.PromptFlags
) -> None:
    """Fit one vector per token on the data sets of the card, jointly, and save the model."""
    from adaptors.fitting.data import select_fit_data
    from adaptors.static.fit import fit_static_texts
    from adaptors.static.reading import score_static
    from adaptors.static.save import check_static_folder, save_static
    from probe.encoding.opening import open_reader
    from surgery.saving.save import check_out

    if not card.dataset:
        raise CallError(
            "--after 0 leaves no block, and one vector per token is fitted to the texts of a data set: add --dataset, "
            "such as -d docstrings"
        )
    out = folder.out or Path(f"{name_folder(model)}-static")
    check_out(out, folder.force)
    store = card.open()
    with working() as report:
        loaded = load_all(card.dataset, splits, card.size, reader="a static cut")
        texts = [select_fit_data(one.request.name, one.dataset, "none") for one in loaded.found]
        reader = open_reader(model, loading.load_options(), store)
        made = fit_static_texts(reader, texts, store=store, seed=card.seed, progress=report)
    say(f"fitted to {made.facts.texts:,} texts; {made.facts.describe()}")
    scores = card.score(splits, store, lambda data, ranking: score_static(reader, made, dataset=data, options=ranking))
    say(f"saving {out} and checking it in a fresh process")
    save_static(
        made,
        out,
        force=folder.force,
        scores=scores,
        check=lambda saved: check_static_folder(saved, made, fresh=True),
        weights_dtype=folder.weights_dtype,
    )
    say_saved(out)
    _say_static_commands(model, str(out), card.dataset)


def _say_static_commands(model: str, out: str, datasets: list[str]) -> None:
    on = [part for name in datasets for part in ("-d", name)]
    folder = out if out.startswith((".", "/")) else f"./{out}"
    say(f"to compare both: {shlex.join(['probe', 'rank', model, folder, *on])}")
    search = shlex.join(["probe", "rank", "--queries", folder, "--documents", model, *on])
    say(f"to search documents of the full model with queries of this one: {search}")


def _advise(model: str, folder: str) -> str:
    """Return a command that shows the loss of a cut, and the option that recovers part of it."""
    tower = split_tower(model)[1]
    if tower:
        command = shlex.join(["probe", "layers", "--model", f"{folder}@{tower}"])
        return f"measure it with {command} --dataset D (a folder of images with captions)"
    return f"measure it with {shlex.join(['probe', 'rank', model, folder])}; --lens --dataset D recovers much of it"
