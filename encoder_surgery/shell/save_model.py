"""Score a changed model for its model card, save it, and check it in a fresh process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.completion import complete_datasets
from encoder_surgery.shell.datasets import SampleFlags, load_all, rank_each, show_set_scores
from encoder_surgery.shell.idle import Idle
from encoder_surgery.shell.options import DropSameId, Force, MetricName, Seed, Similarity, StoreFlags, WeightsDtype
from encoder_surgery.shell.output import command_line, say
from encoder_surgery.shell.panels import MAIN_PANEL
from encoder_surgery.shell.progress import working
from probe.errors import CallError
from probe.layers.hookpoint import HEAD, check_pooling, split_name, split_tower

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.encoding.chunk_states import Progress
    from probe.experiments.options import RunOptions
    from probe.results.leaderboard import Leaderboard
    from probe.store.store import Store
    from surgery.cutting.blocks import CutModel

    Score = Callable[[Dataset, RunOptions], Leaderboard]

__all__ = ["NO_SCORING", "CardFlags", "FolderFlags", "make_and_save", "name_folder", "refuse_for_tower", "say_saved"]


@dataclass(frozen=True)
class CardFlags(SampleFlags, StoreFlags):
    """The data sets for the scores in a changed model's card."""

    panel: ClassVar[str] = "Scoring"

    dataset: Annotated[
        list[str] | None,
        flag(
            "Score on it, for the model card; repeatable.",
            "--dataset",
            "-d",
            panel=MAIN_PANEL,
            autocompletion=complete_datasets,
        ),
    ] = None
    metric: MetricName = "ndcg@10"
    seed: Seed = 0
    similarity: Similarity = "own"
    drop_same_id: DropSameId = False

    def open(self) -> "Store | None":
        """Return the store for scoring, or None without a data set."""
        return super().open() if self.dataset else None

    def options(self, store: "Store | None", progress: "Progress") -> "RunOptions":
        """Return the run options of the scoring."""
        from probe.experiments.options import RunOptions

        return RunOptions(
            metric=self.metric,
            seed=self.seed,
            command=command_line(),
            store=store,
            progress=progress,
            similarity=self.similarity,
            drop_same_id=self.drop_same_id,
        )

    def score(self, splits: Sequence[str] | None, store: "Store | None", score: "Score") -> str:
        """Return the retrieval section of a model card, or an empty string without a data set."""
        if not self.dataset:
            return ""
        from surgery.scoring import card_section

        with working() as report:
            loaded = load_all(self.dataset, splits, self.size, reader="a changed model")
            options = self.options(store, report)
            board = rank_each(loaded, lambda one, options: score(one.dataset, options), options, sort="mean")
        first = loaded.found[0].dataset
        for row in board.rows:
            where = show_set_scores(board, row) or f" on {first.name} ({first.split})"
            say(f"{row.encoder}: {board.metric} {row.scores[board.metric]:.4f}{where}")
        return card_section(board)


# Without a data set, the scoring options have no effect.
NO_SCORING = Idle(
    ("split", *(one.name for one in fields(CardFlags) if one.name != "dataset")),
    lambda values: not values["dataset"],
    "without --dataset",
)


@dataclass(frozen=True)
class FolderFlags:
    """The output folder."""

    panel: ClassVar[str] = "Output"

    out: Annotated[
        Path | None, flag("Output folder; default: named after the model.", "--out", "-o", panel=MAIN_PANEL)
    ] = None
    force: Force = False
    weights_dtype: WeightsDtype = None


def refuse_for_tower(model: str, options: dict[str, object]) -> None:
    """Reject options that are not available for one tower of a two-tower model."""
    given = [name for name, value in options.items() if value]
    if split_tower(model)[1] and given:
        raise CallError(
            f"{given[0]} needs a single-tower model, and '{model}' is one of two towers: remove it; probe layers "
            "scores the layers of a tower"
        )


def say_saved(out: Path) -> None:
    """Print a saved folder, and on stderr what the dtype of its weights changes, if one was given."""
    from surgery.saving.weights import describe_weights

    if line := describe_weights(out):
        say(line)
    typer.echo(out)


def name_folder(model: str) -> str:
    """Return the start of the default output folder for a model: its name if it has one, else its alias or id."""
    whole, tower = split_tower(model)
    given, rest = split_name(whole)
    name = given or rest
    return name.rstrip("/").rpartition("/")[2] + (f"-{tower}" if tower else "")


def make_and_save(
    make: "Callable[[], CutModel]",
    out: Path,
    score: "Score",
    *,
    card: CardFlags,
    splits: Sequence[str] | None,
    pooling: str | None,
    folder: FolderFlags,
    trust: bool,
) -> "CutModel":
    """Cut a model, score it, save it, check it in a fresh process, print its folder, and return it.

    Args:
        make: Cuts the model.
        out: Folder to create.
        score: Scores the model for its card.
        card: Data sets and scoring options, if any.
        splits: Splits of the data sets, as given.
        pooling: Pooling of the saved model; default: its own.
        folder: Whether to replace a folder written by an earlier save, and the dtype of the weights.
        trust: Whether code in the model's folder may run.
    """
    from probe.encoding.hookpoints import select_hookpoints
    from surgery.cutting.towers import CutTower
    from surgery.saving.fresh_process import check_saved
    from surgery.saving.heads import OutputHead
    from surgery.saving.save import check_out, save
    from surgery.saving.towers import check_head

    check_out(out, folder.force)
    if pooling and pooling != HEAD:
        check_pooling(pooling)
    store = card.open()
    changed = make()
    named = select_hookpoints(changed, "last", [pooling or "own"])[0].pooling
    finish = OutputHead(str(named), scores=card.score(splits, store, score))
    if isinstance(changed, CutTower):
        check_head(changed, finish)
    say(f"saving {out} and checking it in a fresh process")
    save(
        changed,
        out,
        finish,
        force=folder.force,
        check=lambda made: check_saved(made, changed, finish, trust=trust),
        weights_dtype=folder.weights_dtype,
    )
    say_saved(out)
    return changed
