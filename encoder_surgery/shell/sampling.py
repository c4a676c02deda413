"""Options that keep part of a data set, and what they have left."""

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated

from encoder_surgery.shell.app import advanced, flag
from encoder_surgery.shell.output import say
from probe.errors import GREATEST_SEED

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.data.sampling import SampleSize

__all__ = ["SampleFlags", "say_sample"]


@dataclass(frozen=True)
class SampleFlags:
    """How much of a data set is read."""

    _: KW_ONLY
    limit: Annotated[
        int | None,
        flag("Approximate number of documents; queries are left out only if their judged documents exceed it."),
    ] = None
    limit_queries: Annotated[int | None, flag("Maximum number of queries, drawn at random.")] = None
    limit_seed: Annotated[
        int, advanced("Seed of both; samples of one seed are nested.", metavar="INT", min=0, max=GREATEST_SEED)
    ] = 0

    @property
    def size(self) -> "SampleSize | None":
        """The sample to read; None for the whole data set."""
        from probe.data.sampling import SampleSize

        whole = self.limit is None and self.limit_queries is None
        return None if whole else SampleSize(self.limit, self.limit_queries, self.limit_seed)


def say_sample(data: "Dataset") -> None:
    """Print how much of a data set a limit has left."""
    if data.whole is None:
        return
    documents, queries = data.whole
    higher = "; the fewer documents, the higher the scores" if data.limited else ""
    say(
        f"sample: {len(data.documents):,} of {documents:,} documents and {len(data.queries):,} of {queries:,} queries, "
        f"with all their judged documents{higher}"
    )
