"""The command `surgery keep`."""

from pathlib import Path
from typing import Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.save_model import CardFlags, FolderFlags, make_and_save, name_folder, refuse_for_tower

__all__ = ["keep"]


@friendly
@refuses(Idle(("split", "store", "no_store"), lambda values: values["dataset"] is None, "without --dataset"))
def keep(
    layers: Annotated[str, flag("Blocks to keep, counted from 1: 1,2,5,6 or 1-4,6.")],
    model: option.Model = "minilm",
    pooling: option.CutPooling = None,
    split: option.Split = None,
    *,
    folder: FolderFlags,
    loading: option.PromptFlags,
    card: CardFlags,
) -> None:
    """Keep chosen blocks and save them as an ordinary model; prints its folder."""
    from probe.models.loading import load_model
    from surgery.cutting.blocks import parse_blocks
    from surgery.cutting.cut import keep as keep_blocks
    from surgery.scoring import score_kept

    refuse_for_tower(model, {"--dataset": card.dataset})
    blocks = parse_blocks(layers)
    options = loading.load_options(dtype="float32", device="cpu")
    make_and_save(
        lambda: keep_blocks(load_model(model, options), blocks),
        folder.out or Path(f"{name_folder(model)}-{'-'.join(map(str, blocks))}"),
        lambda data, ranking: score_kept(
            load_model(model, loading.load_options()), blocks, pooling, dataset=data, options=ranking
        ),
        card=card,
        split=split,
        pooling=pooling,
        force=folder.force,
        trust=loading.trust_remote_code,
    )
