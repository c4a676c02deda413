"""The list of all losses for users: name, class, options, formula, data and source."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from adaptors.finetuning.loss_catalog import TUNING_LOSSES, WRAPPERS
from adaptors.finetuning.loss_spec import LossEntry

__all__ = ["ListedLoss", "list_losses", "losses_tables"]

_TITLES = {
    "tuning": "Fine-tuning an encoder (adaptors tune --loss)",
    "around": "Wrappers of a loss (adaptors tune --wrap)",
    "states": "On cached vectors (adaptors fit --loss)",
}
_STATES = {
    "texts": "cached vectors",
    "rankings": "cached vectors",
    "pairs": "cached vectors, relevance labels",
}


@dataclass(frozen=True)
class ListedLoss:
    """A loss in the list.

    Attributes:
        name: Its name.
        kind: `tuning`, `around` for a wrapper of a tuning loss, or `states` for networks on cached vectors.
        formula: In plain text.
        data: The required columns, or whether it needs relevance labels.
        source: Publication.
        options: Its settings, required ones first, as named on the command line: `mini-batch`.
        library: `sentence-transformers` for its own losses, otherwise `encoder-surgery`.
        class_name: Its class, which `adaptors tune` also accepts; empty for losses on cached vectors.
    """

    name: str
    kind: str
    formula: str
    data: str
    source: str
    options: tuple[str, ...]
    library: str
    class_name: str = ""


def list_losses() -> tuple[ListedLoss, ...]:
    """Return every loss: for tuning, wrappers of those, and on cached vectors."""
    from adaptors.fitting.losses import LOSSES

    tuning = [_list_part(loss, "tuning", loss.layout.columns) for loss in TUNING_LOSSES.values()]
    around = [_list_part(wrapper, "around", "as the inner loss") for wrapper in WRAPPERS.values()]
    states = [
        ListedLoss(name, "states", loss.formula, _STATES[loss.form], loss.source, (), "encoder-surgery")
        for name, loss in LOSSES.items()
    ]
    return (*tuning, *around, *states)


def _list_part(part: LossEntry, kind: str, data: str) -> ListedLoss:
    names = (*sorted(part.needs), *sorted(part.options.keys() - part.needs))
    options = tuple(name.replace("_", "-") for name in names)
    library = "sentence-transformers" if part.theirs else "encoder-surgery"
    return ListedLoss(part.name, kind, part.formula, data, part.source, options, library, part.class_name)


def losses_tables(losses: Sequence[ListedLoss]) -> list[Table]:
    """Return one rich table per kind of loss; long formulas are wrapped."""
    return [_draw(title, [loss for loss in losses if loss.kind == kind]) for kind, title in _TITLES.items()]


def _draw(title: str, losses: Sequence[ListedLoss]) -> Table:
    table = Table(
        title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=True
    )
    table.add_column("name, class, options", no_wrap=True)
    for column, share in (("formula", 5), ("columns of the data", 3), ("source", 4)):
        table.add_column(column, overflow="fold", ratio=share)
    for loss in losses:
        options = "".join(f"\n  --{name}" for name in loss.options)
        named = f"\n  {loss.class_name}" if loss.class_name else ""
        table.add_row(*map(Text, (f"{loss.name}{named}{options}", loss.formula, loss.data, loss.source)))
    return table
