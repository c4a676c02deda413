"""Reading of description files in saved folders."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from probe.errors import ModelError, first_line

__all__ = ["FORMAT", "Description", "Part", "read_description"]

FORMAT = 1


class Part(BaseModel):
    """A part of a description; unknown fields and type conversions are errors."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Description(Part):
    """Fields that every description file has."""

    format: int = FORMAT


D = TypeVar("D", bound=Description)


def read_description(path: Path, kind: type[D]) -> D:
    """Read and validate a description file.

    Raises:
        ModelError: If the file is malformed or of another format version.
    """
    try:
        found = kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} is malformed: {first_line(error)}") from error
    if found.format != FORMAT:
        raise ModelError(f"{path} has format {found.format}, expected {FORMAT}: update encoder-surgery")
    return found
