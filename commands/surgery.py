"""The commands of `surgery`."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import (
    CardDataset,
    Debug,
    Device,
    DocumentPrompt,
    Force,
    MaxTokens,
    Model,
    NoStore,
    Out,
    QueryPrompt,
    Split,
    StoreFolder,
    TableOrJson,
    Trust,
)
from commands.scores import card_scores
from commands.shell import app, check_choice, console, friendly, print_json, say
from probe.errors import CallError
from probe.hookpoint import HEAD, check_pooling, split_tower

if TYPE_CHECKING:
    from probe.dataset import Dataset
    from probe.leaderboard import Leaderboard
    from probe.loaded import LoadedModel
    from probe.options import LoadOptions
    from probe.ranking import RankOptions
    from surgery.blocks import CutModel

__all__ = ["surgery_app"]

surgery_app = app(
    "Change an encoder: cut it, keep some of its blocks, fuse several.", "surgery cut --model minilm --after 5"
)

_LENS = "Put a linear map on top that aims at the full model's embedding; fitted to --dataset without labels."
Pooling = Annotated[
    str | None, typer.Option("--pooling", help="cls, last, max or mean; the model's own when left out.")
]


@surgery_app.command(epilog="Example: surgery inspect --model minilm")
@friendly
def inspect(
    model: Model = "minilm",
    device: Device = "auto",
    trust_remote_code: Trust = False,
    format: TableOrJson = "table",
    debug: Debug = False,
) -> None:
    """Show a model's layers, parameters and time per block, and what each cut would save."""
    check_choice("--format", format, ("table", "json"))
    from dataclasses import asdict

    from probe.options import LoadOptions
    from surgery.inspection import inspect_model
    from surgery.inspection_table import inspection_lines, inspection_table

    found = inspect_model(
        _load(model, LoadOptions(device=device, dtype="float32", trust_remote_code=trust_remote_code))
    )
    if format == "json":
        print_json(asdict(found))
        return
    from probe.console import print_whole

    print_whole(inspection_table(found), console())
    for line in inspection_lines(found):
        console().print(line, markup=False, soft_wrap=True)


@surgery_app.command(epilog="Example: surgery cut --model minilm --after 5 --out ./minilm-5")
@friendly
def cut(
    after: Annotated[int, typer.Option("--after", help="The last block kept, counted from 1.")],
    model: Model = "minilm",
    pooling: Pooling = None,
    out: Out = None,
    force: Force = False,
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    trust_remote_code: Trust = False,
    lens: Annotated[bool, typer.Option("--lens", help=_LENS)] = False,
    dataset: CardDataset = None,
    split: Split = None,
    store: StoreFolder = None,
    no_store: NoStore = False,
    debug: Debug = False,
) -> None:
    """Remove the blocks after one and save the rest as an ordinary model; prints its folder."""
    from probe.opening import open_reader
    from probe.options import LoadOptions
    from surgery.cutting import cut as cut_model
    from surgery.scoring import score_cut

    _refuse_for_tower(model, {"--lens": lens, "--dataset": dataset})
    options = LoadOptions("float32", "cpu", max_tokens, query_prompt, document_prompt, trust_remote_code)
    folder = out or Path(f"{_folder_name(model)}-after-{after}{'-lens' if lens else ''}")
    if lens:
        from commands.fitting import FitRequest, fit_and_save

        if dataset is None:
            raise CallError("--lens is fitted to the texts of a data set: name one with --dataset")
        spec = f"{model}@{after}{f':{pooling}' if pooling else ''}"
        fit_and_save(FitRequest("lens", spec, (), dataset, split, folder, force, (store, no_store)), options)
        return

    def score(data: "Dataset", ranking: "RankOptions") -> "Leaderboard":
        """Score the layer the model is cut at, as `probe layers` does."""
        reader = open_reader(model, replace(options, dtype="auto", device="auto"), ranking.store)
        return score_cut(reader, after, pooling, data, ranking)

    _operate(
        lambda: cut_model(_load(model, options), after),
        folder,
        (pooling, force, trust_remote_code),
        lambda: card_scores(dataset, split, (store, no_store), score),
    )
    say(f"a raw cut can lose most of a model's retrieval skill: {_advise(model, str(folder))}")


@surgery_app.command(epilog="Example: surgery keep --model minilm --layers 1,2,5,6 --out ./minilm-1-2-5-6")
@friendly
def keep(
    layers: Annotated[str, typer.Option("--layers", help="Blocks to keep, counted from 1: 1,2,5,6 or 1-4,6.")],
    model: Model = "minilm",
    pooling: Pooling = None,
    out: Out = None,
    force: Force = False,
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    trust_remote_code: Trust = False,
    dataset: CardDataset = None,
    split: Split = None,
    store: StoreFolder = None,
    no_store: NoStore = False,
    debug: Debug = False,
) -> None:
    """Keep chosen blocks and save them as an ordinary model; prints its folder."""
    from probe.options import LoadOptions
    from surgery.blocks import parse_blocks
    from surgery.cutting import keep as keep_blocks
    from surgery.scoring import score_kept

    _refuse_for_tower(model, {"--dataset": dataset})
    blocks = parse_blocks(layers)
    options = LoadOptions("float32", "cpu", max_tokens, query_prompt, document_prompt, trust_remote_code)
    folder = out or Path(f"{_folder_name(model)}-{'-'.join(map(str, blocks))}")

    def score(data: "Dataset", ranking: "RankOptions") -> "Leaderboard":
        """Score the model of those blocks."""
        return score_kept(_load(model, replace(options, dtype="auto", device="auto")), blocks, pooling, data, ranking)

    _operate(
        lambda: keep_blocks(_load(model, options), blocks),
        folder,
        (pooling, force, trust_remote_code),
        lambda: card_scores(dataset, split, (store, no_store), score),
    )


def _refuse_for_tower(model: str, options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if split_tower(model)[1] and given:
        raise CallError(
            f"{given[0]} is for models of a single tower, and '{model}' is one of two: leave it out; probe layers "
            "scores the layers of a tower"
        )


def _folder_name(model: str) -> str:
    name, tower = split_tower(model)
    return name.rstrip("/").rpartition("/")[2] + (f"-{tower}" if tower else "")


def _advise(model: str, folder: str) -> str:
    """Return how to see what a cut cost, and what brings some of it back."""
    tower = split_tower(model)[1]
    if tower:
        command = shlex.join(["probe", "layers", "--model", f"{folder}@{tower}"])
        return f"see {command} with --dataset D, a folder of images with captions"
    return f"see {shlex.join(['probe', 'rank', model, folder])}; --lens --dataset D brings much back"


def _load(model: str, options: "LoadOptions") -> "LoadedModel":
    from probe.loading import load_model

    return load_model(model, options)


def _operate(
    make: "Callable[[], CutModel]", out: Path, save_options: tuple[str | None, bool, bool], score: Callable[[], str]
) -> None:
    """Make a model, score it, save it, check it in a fresh process, and print its folder."""
    from probe.hookpoints import select_hookpoints
    from surgery.folder import check_out, save
    from surgery.fresh_check import check_saved
    from surgery.heads import OutputHead
    from surgery.tower_cutting import CutTower
    from surgery.tower_folder import check_head

    pooling, force, trust = save_options
    check_out(out, force)
    if pooling and pooling != HEAD:
        check_pooling(pooling)
    changed = make()
    named = select_hookpoints(changed, "last", [pooling or "own"])[0].pooling
    head = OutputHead(str(named), scores=score())
    if isinstance(changed, CutTower):
        check_head(changed, head)
    say(f"saving {out} and checking it in a fresh process")
    save(changed, out, head, force, lambda folder: check_saved(folder, changed, head, trust))
    typer.echo(out)
