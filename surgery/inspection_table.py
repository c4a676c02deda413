"""Draw an inspection."""

from rich import box
from rich.table import Table

from probe.hookpoint import TOWERS
from surgery.inspection import SAMPLE_TOKENS, Inspection

__all__ = ["inspection_lines", "inspection_table"]


def inspection_table(found: Inspection) -> Table:
    """Return a table of what a cut after each layer would be.

    Args:
        found: The inspection.

    Returns:
        The table.
    """
    table = Table(
        title=found.name, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    per = f"ms/{found.tower or 'text'}"
    for title in ("layer", "block", "its time", "cut here", "MB", "saves MB", per, "saves time"):
        table.add_column(title, justify="right", no_wrap=True)
    full = found.cuts[-1]
    for cost in found.cuts:
        table.add_row(
            str(cost.layer) if cost.layer else "emb",
            f"{cost.block_parameters / 1e6:.1f}M",
            f"{cost.block_time_share:.0%}",
            f"{cost.parameters / 1e6:.1f}M",
            f"{cost.bytes / 1e6:.1f}",
            f"{(full.bytes - cost.bytes) / 1e6:.1f}",
            f"{cost.milliseconds:.2f}",
            f"{1 - cost.time_share:.0%}",
        )
    return table


def inspection_lines(found: Inspection) -> list[str]:
    """Return what stands under the table."""
    return [
        f"{found.model_class}: {found.depth} blocks in {found.path}, {found.width} dimensions, "
        f"{found.embedding_share:.0%} of the parameters in the embeddings",
        f"norm: {found.norm_policy}; read by no layer: {', '.join(found.unread) or 'nothing'}",
        *_tower_lines(found),
        _input_line(found),
        "block: parameters of the block that makes the layer, and its share of the full model's time; cut here: what a "
        f"model cut after the layer would keep and save; MB in float32; ms per {_unit(found)}, one of a batch",
    ]


def _tower_lines(found: Inspection) -> list[str]:
    if found.tower is None:
        return []
    other = next(tower for tower in TOWERS if tower != found.tower)
    return [
        f"projection: {', '.join(found.projection) or 'none'}, applied at every depth; the numbers are of the "
        f"{found.tower} tower alone: a cut leaves the {other} tower whole"
    ]


def _input_line(found: Inspection) -> str:
    line = f"pooling {found.pooling}, {found.max_tokens} tokens"
    if found.tower == "image":
        return f"{line} per image"
    return f"{line}; prompts: query {found.query_prompt!r}, document {found.document_prompt!r}"


def _unit(found: Inspection) -> str:
    return "image" if found.tower == "image" else f"text of about {min(found.max_tokens, SAMPLE_TOKENS)} tokens"
