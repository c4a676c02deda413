"""The best candidate as a saved model: dimensions, weights, origin, card."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptors.candidates.dimensions import Basis, fold_basis
from adaptors.encoders.description import DESCRIPTION, describe_member, is_adapted, read_adaptor
from probe.data.training_record import Learned, join_learned, read_learned, write_learned
from probe.io.model_files import weight_files
from probe.models.info import ModelProfile
from surgery.saving.cards import write_trained_card
from surgery.saving.files import PROVENANCE, write_json
from surgery.saving.fresh_process import compare, embed_here, embed_in_fresh_process
from surgery.saving.origin import add_step, inherit
from surgery.saving.save import save_folder
from surgery.saving.weights import VectorChange, record_change, store_weights

__all__ = ["add_section", "publish", "stage", "weight_megabytes"]

_CARD, _MADE = "README.md", "Made with encoder-surgery."
_SCORED = "Its scores are those of the table below; on other data, compare it with the\noriginal (`probe rank`)."


def stage(
    source: Path,
    folder: Path,
    *,
    basis: Basis | None,
    weights_dtype: str | None,
    full: ModelProfile,
    data: Sequence[str],
) -> VectorChange | None:
    """Write the final files of a candidate to a new folder.

    Args:
        source: Its files after the training.
        folder: The new folder.
        basis: Linear map on top, if any.
        weights_dtype: Dtype of the saved tensors; None for float32.
        full: The full model, which the folder names as its origin.
        data: Names of the data sets of the search.

    Returns:
        How the dtype changes the vectors, if it does.
    """
    shutil.copytree(source, folder)
    # The table of a static model is mapped already.
    if basis is not None and is_adapted(folder):
        fold_basis(folder, basis)
    change = None if weights_dtype is None else _round_weights(folder, weights_dtype)
    facts = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    origin = {"from": full.source.hub_id or str(full.source.folder.resolve()), "revision": full.source.revision}
    inherited = inherit(full.source)
    steps = [*inherited["steps"], *_join_parts(facts.get("steps", []), name=full.source.name)]
    write_json(folder / PROVENANCE, {**facts, **origin, **inherited, "steps": steps})
    if basis is not None and basis.labels != "none":
        _record_labels(folder, basis.labels, data)
    return change


def _record_labels(folder: Path, labels: str, data: Sequence[str]) -> None:
    """Record that the map on top was trained on relevance labels."""
    learned = join_learned([read_learned(folder), Learned((labels,))])
    write_learned(learned, folder)
    add_step(folder, {"did": "linear map", "data": list(data), "labels": labels})
    if is_adapted(folder):
        fields = {"labels": "+".join(learned.labels), "fitted_to": [describe_member(folder)]}
        write_json(folder / DESCRIPTION, read_adaptor(folder).model_copy(update=fields).model_dump())


def _round_weights(folder: Path, dtype: str) -> VectorChange:
    expected = embed_here(folder, False)
    store_weights(folder, dtype)
    if is_adapted(folder):
        # The hashes of the files are new.
        described = read_adaptor(folder).model_copy(update={"fitted_to": [describe_member(folder)]})
        write_json(folder / DESCRIPTION, described.model_dump())
    return compare(expected, embed_here(folder, False), folder=folder)


def _join_parts(steps: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return training steps with the parts of one training as one, and the full model's name as its teacher."""
    # The start was written as a folder before any step.
    parts = [step for step in steps if step["did"] == "healed" and "steps" in step]
    others = [step for step in steps if step["did"] != "healed"]
    if not parts:
        return others
    counts = {"steps": sum(part["steps"] for part in parts), "kept": sum(part["kept"] for part in parts)}
    return [*others, {**parts[-1], **counts, "before": parts[0]["before"], "teacher": name}]


def weight_megabytes(folder: Path) -> float:
    """Return the size of a folder's weight files in megabytes (10^6 bytes)."""
    return sum(path.stat().st_size for path in weight_files(folder)) / 1e6


def add_section(folder: Path, words: str, facts: dict[str, Any], *, title: str, change: VectorChange | None) -> None:
    """Add a section to a folder's model card, and facts to its record; `change` is that of the weights' dtype."""
    if is_adapted(folder):
        write_trained_card(folder, title, words, scores=_SCORED)
    else:
        card = (folder / _CARD).read_text(encoding="utf-8")
        head, mark, tail = card.partition(_MADE)
        (folder / _CARD).write_text(f"{head}{words.rstrip()}\n\n{mark}{tail}", encoding="utf-8")
    known = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    write_json(folder / PROVENANCE, {**known, "slim": facts})
    record_change(folder, change)


def publish(staged: Path, out: Path, *, force: bool) -> Path:
    """Copy a staged folder to its destination, after checking it in a fresh process.

    Raises:
        CallError: The folder exists.
        ModelError: It cannot be written, or gives other vectors there.
    """
    expected = embed_here(staged, False)

    def check(folder: Path) -> None:
        """Load the folder in a fresh process and compare its vectors."""
        compare(expected, embed_in_fresh_process(folder, False), folder=folder)

    return save_folder(out, lambda folder: shutil.copytree(staged, folder, dirs_exist_ok=True), force, check=check)
