"""Read the description in a saved folder."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from probe.errors import ModelError, first_line

__all__ = ["FORMAT", "Description", "Part", "read_description"]

FORMAT = 1


class Part(BaseModel):
    """A part of a description: nothing missing, nothing unknown, no value of another type."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Description(Part):
    """What a description file holds at least."""

    format: int = FORMAT


D = TypeVar("D", bound=Description)


def read_description(path: Path, kind: type[D]) -> D:
    """Read a description of some kind.

    Raises:
        ModelError: The file is malformed, or of another version.
    """
    try:
        found = kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} is malformed: {first_line(error)}") from error
    if found.format != FORMAT:
        raise ModelError(f"{path} has format {found.format}, and this version reads {FORMAT}: update it")
    return found
