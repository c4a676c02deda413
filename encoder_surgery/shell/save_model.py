"""Score a changed model for its card, save it, check it in a fresh process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.options import DropSameId, Force, Similarity, StoreFlags
from encoder_surgery.shell.output import command_line, say
from encoder_surgery.shell.progress import working
from probe.errors import CallError
from probe.layers.hookpoint import HEAD, check_pooling, split_tower

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.experiments.options import RunOptions
    from probe.results.leaderboard import Leaderboard
    from probe.store.store import Store
    from surgery.cutting.blocks import CutModel

    Score = Callable[[Dataset, RunOptions], Leaderboard]

__all__ = ["CardFlags", "FolderFlags", "make_and_save", "name_folder", "refuse_for_tower"]


@dataclass(frozen=True)
class CardFlags(StoreFlags):
    """The data set that a changed model is scored on, for its card."""

    panel: ClassVar[str] = "Score"

    dataset: Annotated[str | None, flag("Score the result on it, for its model card.", "--dataset", "-d")] = None
    similarity: Similarity = "own"
    drop_same_id: DropSameId = False

    def open(self) -> "Store | None":
        """Return the store that the scoring uses, if any; refuse what has nothing to do without a score."""
        from probe.metrics.similarity import OWN, check_similarity

        if check_similarity(self.similarity) != OWN and self.dataset is None:
            raise CallError(f"--similarity {self.similarity} is for the score: name a data set with --dataset")
        if self.drop_same_id and self.dataset is None:
            raise CallError("--drop-same-id says how a data set is scored: name one with --dataset")
        return super().open() if self.dataset else None

    def score(self, split: str | None, store: "Store | None", score: "Score") -> str:
        """Return the section of a card that says how a model retrieves; nothing where no data set was given."""
        if self.dataset is None:
            return ""
        from probe.data.dataset import refuse_images
        from probe.data.loading import load_dataset
        from probe.experiments.options import RunOptions
        from surgery.scoring import card_section

        with working() as report:
            data = load_dataset(self.dataset, split, drop_same_id=self.drop_same_id)
            refuse_images(data, "a changed model")
            options = RunOptions(command=command_line(), store=store, progress=report, similarity=self.similarity)
            board = score(data, options)
        for row in board.rows:
            say(f"{row.encoder}: {board.metric} {row.scores[board.metric]:.4f} on {data.name} ({data.split})")
        return card_section(board)


@dataclass(frozen=True)
class FolderFlags:
    """The folder that is made."""

    panel: ClassVar[str] = "Output"

    out: Annotated[Path | None, flag("Folder to make; named after the model when left out.", "--out", "-o")] = None
    force: Force = False


def refuse_for_tower(model: str, options: dict[str, object]) -> None:
    """Refuse options, by name, that were given for one tower of a model of two and cannot be had there."""
    given = [name for name, value in options.items() if value]
    if split_tower(model)[1] and given:
        raise CallError(
            f"{given[0]} is for models of a single tower, and '{model}' is one of two: leave it out; probe layers "
            "scores the layers of a tower"
        )


def name_folder(model: str) -> str:
    """Return the name of the folder that is made of a model, given its alias, hub id or folder."""
    name, tower = split_tower(model)
    return name.rstrip("/").rpartition("/")[2] + (f"-{tower}" if tower else "")


def make_and_save(
    make: "Callable[[], CutModel]",
    out: Path,
    score: "Score",
    *,
    card: CardFlags,
    split: str | None,
    pooling: str | None,
    force: bool,
    trust: bool,
) -> None:
    """Make a model, score it, save it, check it in a fresh process, and print its folder.

    Args:
        make: Cuts the model.
        out: Folder to make.
        score: Scores the model for its card.
        card: Says on which data set, if any.
        split: Of that data set.
        pooling: Of the saved model; its own when left out.
        force: Replace a folder that an earlier save made.
        trust: Whether code that the model's folder brings may run.
    """
    from probe.encoding.hookpoints import select_hookpoints
    from surgery.cutting.towers import CutTower
    from surgery.saving.fresh_process import check_saved
    from surgery.saving.heads import OutputHead
    from surgery.saving.save import check_out, save
    from surgery.saving.towers import check_head

    check_out(out, force)
    if pooling and pooling != HEAD:
        check_pooling(pooling)
    store = card.open()
    changed = make()
    named = select_hookpoints(changed, "last", [pooling or "own"])[0].pooling
    finish = OutputHead(str(named), scores=card.score(split, store, score))
    if isinstance(changed, CutTower):
        check_head(changed, finish)
    say(f"saving {out} and checking it in a fresh process")
    save(changed, out, finish, force=force, check=lambda folder: check_saved(folder, changed, finish, trust=trust))
    typer.echo(out)
