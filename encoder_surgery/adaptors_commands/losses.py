"""The command `adaptors losses`."""

from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.output import FormatFlag, as_json

__all__ = ["losses"]

_LEGEND = (
    "q: a query, d: its document, n: a negative document, s: cosine, t: temperature, m: margin, w: weight, L: the "
    "inner loss, y: label or teacher's score; on cached vectors c: cosine before, s: after"
)


@friendly
def losses(output: FormatFlag) -> None:
    """List the losses: name, options, formula, required data and publication."""
    from adaptors.finetuning.loss_list import list_losses, losses_tables

    found = list_losses()
    output.show(as_json([vars(loss) for loss in found]), lambda: [*losses_tables(found), _LEGEND])
