"""How an experiment runs."""

from dataclasses import dataclass, field, replace

from probe.data.dataset import Dataset
from probe.encoding.chunk_states import Progress, RunContext, silent
from probe.errors import GREATEST_SEED, check_number, check_type
from probe.evaluation.scan import Engine, scan_here
from probe.metrics.retrieval import Metric
from probe.metrics.similarity import OWN, check_similarity
from probe.models.options import LoadOptions
from probe.store.store import Store

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """How to run; every verb takes from it what concerns it.

    Attributes:
        metric: Decides the order of a leaderboard, `ndcg@10` or a `Metric`.
        seed: Of folds, intervals and tests.
        bm25: Add a BM25 row to a leaderboard.
        command: What made the result, kept in it.
        store: Store of states, if any.
        progress: Called after every batch.
        examples: Keep queries to look at in a leaderboard, with what each encoder found for them.
        engine: Makes a leaderboard's pass over the documents.
        drop_same_id: Drop a document with the query's own id whatever its text, as BEIR does.
        load: How a model that is named, not given, is loaded.
        similarity: What a leaderboard compares vectors by: `cosine`, `dot`, `euclidean`, `manhattan`; `own` is every
            model's.
    """

    metric: str | Metric = "ndcg@10"
    seed: int = 0
    bm25: bool = False
    command: str = ""
    store: Store | None = None
    progress: Progress = silent
    examples: bool = False
    engine: Engine = scan_here
    drop_same_id: bool = False
    load: LoadOptions = field(default_factory=LoadOptions)
    similarity: str = OWN

    def __post_init__(self) -> None:
        """Refuse an unknown metric or similarity, and a seed that is none, before any work."""
        Metric.parse(self.metric)
        check_type("store", self.store, Store | None, expected="a Store, as Store('states')")
        check_type("load", self.load, LoadOptions)
        check_similarity(self.similarity)
        check_number("seed", self.seed, 0, most=GREATEST_SEED)

    @classmethod
    def of(cls, options: "RunOptions | None") -> "RunOptions":
        """Return options as they are, or the defaults where there are none.

        Raises:
            CallError: They are something else.
        """
        check_type("options", options, RunOptions | None, expected="RunOptions, as RunOptions(metric='recall@10')")
        return options or cls()

    @property
    def ranked_by(self) -> Metric:
        """The metric, parsed."""
        return Metric.parse(self.metric)

    def apply_id_rule(self, dataset: Dataset) -> Dataset:
        """Return a data set as these options have it scored."""
        return replace(dataset, drop_same_id=True) if self.drop_same_id else dataset

    @property
    def context(self) -> RunContext:
        """The store, and the callback of every batch."""
        return RunContext(self.store, self.progress)
