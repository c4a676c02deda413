"""Options of a search for a smaller model."""

from dataclasses import dataclass

from probe.errors import check_number
from surgery.saving.weights import check_dtype

__all__ = ["SlimOptions"]


@dataclass(frozen=True)
class SlimOptions:
    """Options of a search.

    Attributes:
        minutes: Time of the search; the final test, timing and saving come after it.
        dims: Dimension of the model's vectors; None for the full model's.
        weights_dtype: Dtype of the saved tensors: `float16` or `bfloat16`; None for float32.
        force: Save the best candidate even if it is not shown to meet the goal, and replace an existing folder.
        bias: Whether the linear map on top of a cut candidate has a bias. Without one, servers read the folder that
            have no normalization before a linear map.
    """

    minutes: float = 4.0
    dims: int | None = None
    weights_dtype: str | None = None
    force: bool = False
    bias: bool = True

    def __post_init__(self) -> None:
        """Check that the values are in range.

        Raises:
            CallError: One is not.
        """
        check_number("--minutes", self.minutes, above=0)
        check_number("--dims", self.dims, 1)
        check_dtype(self.weights_dtype)

    @property
    def bytes_each(self) -> int:
        """Bytes per saved value."""
        return 4 if self.weights_dtype in (None, "float32") else 2
