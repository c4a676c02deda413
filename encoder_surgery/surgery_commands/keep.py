"""The command `surgery keep`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.options import open_store
from encoder_surgery.shell.save_model import card_scores, make_and_save, name_folder, refuse_for_tower

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.experiments.options import RunOptions
    from probe.results.leaderboard import Leaderboard

__all__ = ["keep"]


@friendly
def keep(
    layers: Annotated[str, typer.Option("--layers", help="Blocks to keep, counted from 1: 1,2,5,6 or 1-4,6.")],
    model: option.Model = "minilm",
    pooling: option.CutPooling = None,
    out: option.Out = None,
    force: option.Force = False,
    max_tokens: option.MaxTokens = None,
    query_prompt: option.QueryPrompt = None,
    document_prompt: option.DocumentPrompt = None,
    trust_remote_code: option.Trust = False,
    dataset: option.CardDataset = None,
    split: option.Split = None,
    store: option.StoreFolder = None,
    no_store: option.NoStore = False,
    debug: option.Debug = False,
) -> None:
    """Keep chosen blocks and save them as an ordinary model; prints its folder."""
    from probe.models.loading import load_model
    from probe.models.options import LoadOptions
    from surgery.cutting.blocks import parse_blocks
    from surgery.cutting.cut import keep as keep_blocks
    from surgery.scoring import score_kept

    refuse_for_tower(model, {"--dataset": dataset})
    blocks = parse_blocks(layers)
    options = LoadOptions("float32", "cpu", max_tokens, query_prompt, document_prompt, trust_remote_code)
    folder = out or Path(f"{name_folder(model)}-{'-'.join(map(str, blocks))}")
    opened = open_store(store, no_store) if dataset else None

    def score(data: "Dataset", ranking: "RunOptions") -> "Leaderboard":
        """Score the model of those blocks."""
        return score_kept(
            load_model(model, replace(options, dtype="auto", device="auto")),
            blocks,
            pooling,
            dataset=data,
            options=ranking,
        )

    make_and_save(
        lambda: keep_blocks(load_model(model, options), blocks),
        folder,
        lambda: card_scores(dataset, split, opened, score=score),
        pooling=pooling,
        force=force,
        trust=trust_remote_code,
    )
