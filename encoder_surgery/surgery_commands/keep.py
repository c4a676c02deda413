"""The command `surgery keep`."""

import shlex
from pathlib import Path
from typing import Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.datasets import Splits
from encoder_surgery.shell.idle import refuses
from encoder_surgery.shell.output import say
from encoder_surgery.shell.save_model import (
    NO_SCORING,
    CardFlags,
    FolderFlags,
    make_and_save,
    name_folder,
    refuse_for_tower,
)
from probe.layers.hookpoint import split_tower

__all__ = ["keep"]


@friendly
@refuses(NO_SCORING)
def keep(
    model: option.Model = "minilm",
    *,
    blocks: Annotated[str, flag("Blocks to keep, counted from 1: 1,2,5,6 or 1-4,6.")],
    pooling: option.CutPooling = None,
    split: Splits = None,
    folder: FolderFlags,
    loading: option.PromptFlags,
    card: CardFlags,
) -> None:
    """Keep chosen blocks and save a standard model; prints its folder."""
    from probe.models.loading import load_model
    from surgery.cutting.blocks import parse_blocks
    from surgery.cutting.cut import keep as keep_blocks
    from surgery.scoring import score_kept

    refuse_for_tower(model, {"--dataset": card.dataset})
    chosen = parse_blocks(blocks)
    options = loading.load_options(dtype="float32", device="cpu")
    out = folder.out or Path(f"{name_folder(model)}-{'-'.join(map(str, chosen))}")
    changed = make_and_save(
        lambda: keep_blocks(load_model(model, options), chosen),
        out,
        lambda data, ranking: score_kept(
            load_model(model, loading.load_options()), chosen, pooling, dataset=data, options=ranking
        ),
        card=card,
        splits=split,
        pooling=pooling,
        folder=folder,
        trust=loading.trust_remote_code,
    )
    if len(changed.blocks) < changed.original_depth and not split_tower(model)[1]:
        measure = shlex.join(["probe", "rank", model, str(out)])
        say(f"without some of its blocks a model can lose most of its retrieval quality: measure it with {measure}")
