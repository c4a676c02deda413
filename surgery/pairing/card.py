"""The model card of a pair: what each route is, and its size."""

from pathlib import Path
from typing import Any

from probe.data.training_record import read_learned
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.paired import PairedEncoder
from probe.models.info import NO_LIMIT
from surgery.pairing.agreement import Agreement
from surgery.saving.cards import count_values, usage
from surgery.saving.origin import front_matter, read_origin

__all__ = ["write_pair_card"]

_PLURALS = ("queries", "documents")

_CARD = """{metadata}
# {title}

Two encoders as one: `encode_query` runs the first, `encode_document` (and `encode`) the second. Both give vectors of
{width} dimensions, compared by {similarity}. Pairing them trained nothing.{learned}

| route | encoder | modules | parameters | MB | maximum tokens | prompt | license |
|---|---|---|---|---|---|---|---|
{routes}

Together {total:.1f} MB: each route has its own copy of its weights, also where one was cut from the other.
{agreement}; retrieval scores say how well they fit.

{usage}

{scores}Made with encoder-surgery. The two routes must embed into the same space: check the scores (`probe rank`) before
you rely on a pair.
"""


def write_pair_card(pair: PairedEncoder, folder: Path, agreement: Agreement, *, scores: str = "") -> None:
    """Write README.md into the folder of a pair.

    Args:
        pair: The pair.
        folder: Its folder, where everything else is.
        agreement: Whether the two routes share a space.
        scores: Retrieval scores, in Markdown; may be empty.
    """
    origin = read_origin(folder)
    sides = {"query": pair.queries, "document": pair.documents}
    facts = {side: origin.facts["paired"][side] for side in sides}
    text = _CARD.format(
        metadata=front_matter(origin, ("asymmetric",)),
        title=" and ".join(f"{_title(one)} for {plural}" for one, plural in zip(facts.values(), _PLURALS, strict=True)),
        width=pair.documents.width,
        similarity=pair.similarity_fn_name,
        learned=_learned(folder),
        routes="\n".join(_line(folder, side, encoder, facts=facts[side]) for side, encoder in sides.items()),
        total=sum(_megabytes(folder, side) for side in sides),
        agreement=f"{agreement}" + ("" if agreement.is_plausible else ": they look like unrelated spaces"),
        usage=usage(),
        scores=scores and f"{scores.rstrip()}\n\n",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _megabytes(folder: Path, side: str) -> float:
    """Return the size of a route's weight files."""
    return sum(path.stat().st_size for path in _weights(folder, side)) / 1e6


def _weights(folder: Path, side: str) -> list[Path]:
    return sorted(folder.glob(f"{side}_*/*.safetensors"))


def _line(folder: Path, side: str, encoder: HookpointEncoder, *, facts: dict[str, Any]) -> str:
    model = encoder.reader.model
    modules = ", ".join(path.name.split("_", 2)[2] for path in _modules(folder, side))
    cells = (
        side,
        f"`{_name(facts)}`{_form(facts)}",
        modules,
        f"{sum(count_values(path) for path in _weights(folder, side)):,}",
        f"{_megabytes(folder, side):.1f}",
        "no limit" if model.max_tokens >= NO_LIMIT else str(model.max_tokens),
        repr(model.query_prompt if side == "query" else model.document_prompt),
        facts["license"].get("license", "unknown"),
    )
    return f"| {' | '.join(cells)} |"


def _modules(folder: Path, side: str) -> list[Path]:
    found = [path for path in folder.glob(f"{side}_*") if path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.split("_")[1]))


def _name(facts: dict[str, Any]) -> str:
    """Return the name of an original; for a folder, without its local path."""
    name = str(facts["from"])
    return Path(name).name if Path(name).is_absolute() else name


def _title(facts: dict[str, Any]) -> str:
    return Path(_name(facts)).name + _form(facts)


def _form(facts: dict[str, Any]) -> str:
    """Return what was left of an original, as the end of a phrase; empty for all of it."""
    kept = facts.get("blocks")
    if "static" in facts:
        return " (static)"
    if not kept or len(kept) == facts["original_depth"]:
        return ""
    return f" (blocks {', '.join(map(str, kept))} of {facts['original_depth']})"


def _learned(folder: Path) -> str:
    """Return a sentence on what the two encoders were fitted to or trained on before; usually empty."""
    learned = read_learned(folder)
    if not learned.seen:
        return ""
    labels = f" with the labels of {', '.join(learned.labels)}" if learned.labels else " without labels"
    return f" Before that, they were fitted to the texts of {', '.join(name for name, _ in learned.seen)}{labels}."
