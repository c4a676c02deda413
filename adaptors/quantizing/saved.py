"""A quantizer beside a saved model: `quantizer.json` and `quantizer.safetensors`."""

from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from adaptors.quantizing.quantizer import Quantizer
from probe.errors import CallError, ModelError, check_type, first_line
from probe.io.saved_json import Description, read_description
from probe.models.hashes import QUANTIZER_CODES

__all__ = ["DESCRIPTION", "has_quantizer", "load_quantizer", "write_quantizer"]

DESCRIPTION = "quantizer.json"
_TENSORS = QUANTIZER_CODES


class SavedQuantizer(Description):
    """The content of quantizer.json.

    Attributes:
        kind: How values are coded.
        dim: Dimensions of a vector.
        bytes: Bytes of a packed vector.
        unit: Whether decoded vectors are scaled to length 1, as vectors are before they are encoded.
        similarity: How queries are compared with decoded documents.
        calibrated_on: Names of the data sets whose documents the ranges come from.
    """

    kind: Literal["scalar"] = "scalar"
    dim: int
    bytes: int
    unit: bool
    similarity: Literal["dot"] = "dot"
    calibrated_on: list[str]


def has_quantizer(folder: str | Path) -> bool:
    """Return whether a folder holds a quantizer."""
    return (Path(folder) / DESCRIPTION).is_file()


def write_quantizer(quantizer: Quantizer, folder: Path, calibrated_on: list[str]) -> None:
    """Write a quantizer of unit vectors into a folder.

    Args:
        quantizer: The quantizer.
        folder: An existing folder.
        calibrated_on: Names of the data sets of its calibration.
    """
    description = SavedQuantizer(
        dim=quantizer.dim, bytes=quantizer.bytes, unit=quantizer.unit, calibrated_on=calibrated_on
    )
    save_file({"bits": quantizer.bits, "start": quantizer.start, "step": quantizer.step}, folder / _TENSORS)
    (folder / DESCRIPTION).write_text(description.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_quantizer(folder: str | Path) -> Quantizer:
    """Return the quantizer of a saved model.

    Args:
        folder: A folder written by `adaptors fit --bits` or `--bytes`.

    Raises:
        CallError: The folder has no quantizer.
        ModelError: It is damaged, or of a later version of this package.
    """
    check_type("folder", folder, str | Path, expected="the path of a folder")
    if not has_quantizer(folder):
        raise CallError(f"'{folder}' has no quantizer: expected a folder saved by adaptors fit with --bits or --bytes")
    path = Path(folder)
    description = read_description(path / DESCRIPTION, SavedQuantizer)
    try:
        tensors = load_file(path / _TENSORS)
        quantizer = Quantizer(tensors["bits"], tensors["start"], tensors["step"], description.unit)
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"cannot read a quantizer from {path / _TENSORS}: {first_line(error)}") from error
    shapes = {part.shape for part in (quantizer.bits, quantizer.start, quantizer.step)}
    types = [str(part.dtype) for part in (quantizer.bits, quantizer.start, quantizer.step)]
    if shapes != {(description.dim,)} or types != ["uint8", "float32", "float32"]:
        raise ModelError(f"{path / _TENSORS} does not match {DESCRIPTION}: save the model again")
    if quantizer.bytes != description.bytes or not (quantizer.step > 0).all():
        raise ModelError(f"{path / _TENSORS} is damaged: save the model again")
    return quantizer
