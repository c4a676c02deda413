"""The command `adaptors losses`."""

from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.options import Debug, TableOrJson
from encoder_surgery.shell.output import check_choice, console, print_json

__all__ = ["losses"]

_LEGEND = (
    "q: a query, d: its document, n: a document that is not relevant, s: cosine, t: temperature, m: margin, w: weight, "
    "L: the loss inside, y: label or teacher's score; on stored states c: cosine before, s: after"
)


@friendly
def losses(format: TableOrJson = "table", debug: Debug = False) -> None:
    """List the losses by name: formula, the data they take, and where they were published."""
    check_choice("--format", format, ("table", "json"))
    from adaptors.finetuning.loss_list import list_losses, losses_tables

    found = list_losses()
    if format == "json":
        print_json([vars(loss) for loss in found])
        return
    for table in losses_tables(found):
        console().print(table)
    console().print(_LEGEND, markup=False)
