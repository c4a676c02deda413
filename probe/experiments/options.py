"""Options of an experiment's run."""

from dataclasses import dataclass, field, replace

from probe.data.dataset import Dataset
from probe.encoding.chunk_states import Progress, RunContext, silent
from probe.errors import GREATEST_SEED, check_number, check_type
from probe.evaluation.scan import Engine, scan_here
from probe.evaluation.storage import StoragePlan
from probe.metrics.retrieval import Metric
from probe.metrics.similarity import OWN, check_similarity
from probe.models.options import LoadOptions
from probe.store.store import Store

__all__ = ["RunOptions"]

_ALWAYS = "recall@100"


@dataclass(frozen=True)
class RunOptions:
    """Run options; each experiment uses those that apply to it.

    Attributes:
        metric: Metric that sorts a leaderboard: `ndcg@10` or a `Metric`.
        more_metrics: Further metrics of a leaderboard; default: recall@100.
        seed: Random seed of folds, intervals and tests.
        bm25: Add a BM25 row to a leaderboard.
        command: Command recorded in the result.
        store: Store of states, if any.
        progress: Called after every batch.
        examples: Include example queries in a leaderboard, with the documents each encoder found.
        engine: Engine of a leaderboard's pass over the documents.
        drop_same_id: Drop a document with the query's own id even if its text differs, as BEIR does.
        load: Load options for models given by name.
        similarity: Similarity function of a leaderboard: `cosine`, `dot`, `euclidean`, `manhattan`, or `own` (each
            model's own).
        storage: Sizes in which the documents of a leaderboard's encoders are stored as well; for the functions of
            `adaptors` that rank.
    """

    metric: str | Metric = "ndcg@10"
    more_metrics: tuple[str | Metric, ...] = ()
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
    storage: StoragePlan = field(default_factory=StoragePlan)

    def __post_init__(self) -> None:
        """Validate metric, similarity and seed before any work."""
        self.metrics  # noqa: B018
        check_type("store", self.store, Store | None, expected="a Store, such as Store('states')")
        check_type("load", self.load, LoadOptions)
        check_similarity(self.similarity)
        check_type("storage", self.storage, StoragePlan, expected="a StoragePlan, such as StoragePlan(bits=(8, 4))")
        check_number("seed", self.seed, 0, most=GREATEST_SEED)

    @classmethod
    def of(cls, options: "RunOptions | None") -> "RunOptions":
        """Return the given options, or the defaults for None.

        Raises:
            CallError: If they are of another type.
        """
        check_type("options", options, RunOptions | None, expected="RunOptions, such as RunOptions(metric='recall@10')")
        return options or cls()

    @property
    def ranked_by(self) -> Metric:
        """The metric, parsed."""
        return Metric.parse(self.metric)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics of a leaderboard, parsed, the ranking one first."""
        more = map(Metric.parse, self.more_metrics or (_ALWAYS,))
        return tuple(dict.fromkeys([self.ranked_by, *more]))

    def apply_id_rule(self, dataset: Dataset) -> Dataset:
        """Return a data set with the options' rule for equal ids."""
        return replace(dataset, drop_same_id=True) if self.drop_same_id else dataset

    def named(self, dataset: str) -> "RunOptions":
        """Return the options with the name of a data set in every step of the progress."""

        def report(step: str, done: int, total: int) -> None:
            """Name the data set behind the step."""
            name, colon, words = step.partition(": ")
            self.progress(f"{name} of {dataset}{colon}{words}", done, total)

        return replace(self, progress=report)

    @property
    def context(self) -> RunContext:
        """Store, and callback after every batch."""
        return RunContext(self.store, self.progress)
