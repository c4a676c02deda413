"""The command `surgery trim`."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.completion import complete_datasets
from encoder_surgery.shell.idle import refuses
from encoder_surgery.shell.output import say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.save_model import (
    NO_SCORING,
    CardFlags,
    FolderFlags,
    name_folder,
    refuse_for_tower,
    say_saved,
)

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.experiments.options import RunOptions
    from probe.models.options import LoadOptions
    from probe.results.leaderboard import Leaderboard
    from surgery.vocabulary.model import TrimmedModel

__all__ = ["trim"]

_TEXTS = "Texts that decide: a file, a folder of documents, or a data set; several times. No labels are read."
_KEEP = "Keep this many of the texts' most frequent tokens, instead of all."


@friendly
@refuses(NO_SCORING)
def trim(
    model: option.Model = "minilm",
    *,
    texts: Annotated[list[str], flag(_TEXTS, "--texts", autocompletion=complete_datasets)],
    keep_tokens: Annotated[int | None, flag(_KEEP, min=1)] = None,
    split: option.Split = None,
    folder: FolderFlags,
    loading: option.PromptFlags,
    card: CardFlags,
) -> None:
    """Drop the tokens that your texts never need and save a standard model; prints its folder.

    Texts whose tokens all stay keep their vectors.
    """
    from surgery.fusing.folder import save
    from surgery.saving.save import check_out
    from surgery.vocabulary.save import check_trimmed
    from surgery.vocabulary.trim import trim as trim_vocabulary

    refuse_for_tower(model, {"--texts": texts})
    out = folder.out or Path(f"{name_folder(model)}-trimmed")
    check_out(out, folder.force)
    store = card.open()
    options = loading.load_options(dtype="float32", device="cpu")
    with working() as report:
        trimmed = trim_vocabulary(model, texts, keep_tokens, options=options, progress=report)
    say(trimmed.facts.size)
    say(trimmed.facts.loss)
    scores = card.score(
        split,
        store,
        lambda data, ranking: _score(trimmed, model, data, ranking=ranking, options=loading.load_options()),
    )
    say(f"saving {out} and checking it in a fresh process")
    save(
        trimmed,
        out,
        force=folder.force,
        check=lambda made: check_trimmed(made, trimmed, fresh=True),
        scores=scores,
        weights_dtype=folder.weights_dtype,
    )
    say_saved(out)
    say(f"measure it on your data with {shlex.join(['probe', 'rank', model, str(out)])} --dataset D")


def _score(
    trimmed: "TrimmedModel", model: str, data: "Dataset", *, ranking: "RunOptions", options: "LoadOptions"
) -> "Leaderboard":
    """Rank the original beside the trimmed model, and say how many tokens of the data set are split differently."""
    from probe.encoding.opening import open_reader
    from surgery.scoring import score_trimmed

    changes = trimmed.measure(data)
    say(f"{changes.share:.2%} of the tokens of {data.name} are split differently")
    # Its folder has the prompts and the length already.
    plain = replace(
        options,
        max_tokens=None,
        query_prompt=None,
        document_prompt=None,
        query_prompt_name=None,
        document_prompt_name=None,
        revision=None,
    )
    return score_trimmed(
        open_reader(model, options, ranking.store),
        open_reader(str(trimmed.folder), plain, ranking.store),
        trimmed.facts.tokens.after,
        dataset=data,
        options=ranking,
    )
