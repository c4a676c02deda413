"""One model's hookpoints, scored in one pass."""

from collections.abc import Sequence
from typing import NamedTuple

from probe.data.dataset import Dataset
from probe.encoding.chunk_states import Progress, RunContext, silent
from probe.encoding.reader import LayerReader
from probe.evaluation.fusion import Fusion
from probe.evaluation.one_pass import sweep_fusions
from probe.evaluation.records import Evaluation
from probe.layers.hookpoint import Hookpoint
from probe.metrics.retrieval import Metric
from probe.store.store import Store


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
    evaluations, truncated = sweep_fusions(
        {name: reader}, alone, dataset, metrics=metrics, context=RunContext(store, progress)
    )
    return Swept(evaluations, *truncated[name])
