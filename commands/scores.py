"""Score what a command of `surgery` makes, for its model card and on stderr."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from commands.progress import working
from commands.shell import command_line, open_store, say

if TYPE_CHECKING:
    from probe.dataset import Dataset
    from probe.leaderboard import Leaderboard
    from probe.ranking import RankOptions

__all__ = ["card_scores"]


def card_scores(
    dataset: str | None,
    split: str | None,
    store: tuple[str | None, bool],
    score: "Callable[[Dataset, RankOptions], Leaderboard]",
) -> str:
    """Return the section of a card that says how a model retrieves; nothing where no data set was given."""
    if dataset is None:
        return ""
    from probe.dataset import refuse_images
    from probe.dataset_loading import load_dataset
    from probe.ranking import RankOptions
    from surgery.scoring import card_section

    kept = open_store(*store)
    with working() as report:
        data = load_dataset(dataset, split)
        refuse_images(data, "a changed model")
        board = score(data, RankOptions(command=command_line(), store=kept, progress=report))
    for row in board.rows:
        say(f"{row.encoder}: {board.metric} {row.scores[board.metric]:.4f} on {data.name} ({data.split})")
    return card_section(board)
