"""One model's hookpoints, scored in one pass."""

from collections.abc import Sequence
from typing import NamedTuple

from probe.dataset import Dataset
from probe.evaluation import Evaluation
from probe.fusions import Fusion
from probe.hookpoint import Hookpoint
from probe.metrics import Metric
from probe.one_pass import sweep_fusions
from probe.reader import LayerReader
from probe.states import Progress, RunContext, silent
from probe.store import Store


class Swept(NamedTuple):
    evaluations: list[Evaluation]
    truncated_documents: int
    truncated_queries: int


def sweep(
    reader: LayerReader,
    hookpoints: Sequence[Hookpoint],
    dataset: Dataset,
    metrics: Sequence[Metric],
    store: Store | None = None,
    progress: Progress = silent,
) -> Swept:
    name = reader.model.source.name
    alone = [Fusion((point,)) for point in hookpoints]
    evaluations, truncated = sweep_fusions({name: reader}, alone, dataset, metrics, RunContext(store, progress))
    return Swept(evaluations, *truncated[name])
