"""Flow through Ray Data: chunk numbers go to a pool of workers, results come back one by one."""

import pickle
from collections.abc import Iterator
from typing import Any

from probe.errors import ProbeError
from probe.scale.corpus import FlowControl, number_chunks
from probe.scale.worker import ChunkResult, ChunkWorker
from probe.scale.worker_setup import WorkerSetup

__all__ = ["chunk_results"]

# Number of chunks per worker in progress.
_AHEAD = 4


def chunk_results(setup: WorkerSetup, workers: int, gpus: float) -> Iterator[ChunkResult]:
    """Yield a result per chunk, in the order the workers finish; only a few are in progress at a time.

    Raises:
        ProbeError: If Ray fails.
    """
    import ray

    ahead = _AHEAD * workers
    flow = _start_flow(ahead)
    numbers = _numbers(setup.corpus.chunks, flow)
    batches = iter(_answer(numbers, ray.put(setup), flow, workers=workers, gpus=gpus))
    while (batch := _next_batch(batches)) is not None:
        for data in batch["result"]:
            result: ChunkResult = pickle.loads(data)
            yield result
            flow.close.remote(result.number)


def _next_batch(batches: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return next(batches, None)
    except Exception as error:  # Ray's errors share no base class
        words = " ".join(str(error).split())
        raise ProbeError(f"Ray failed ({type(error).__name__}): {words[:300]}") from error


def _start_flow(ahead: int) -> Any:
    """Start the flow control on this machine, whose loss ends the run anyway."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(FlowControl).options(num_cpus=0, scheduling_strategy=here).remote(ahead)


def _numbers(chunks: int, flow: Any) -> Any:
    """Return the chunk numbers as a lazy Ray data set."""
    import ray

    with ray.data.DataContext.current(_context()):
        return ray.data.from_items([{"corpus": 0}]).flat_map(number_chunks, fn_args=(chunks, flow), num_cpus=0)


def _answer(numbers: Any, setup: Any, flow: Any, *, workers: int, gpus: float) -> Any:
    """Return the batches of results as a lazy Ray data set."""
    import ray

    answered = numbers.map_batches(
        ChunkWorker,
        batch_size=1,
        fn_constructor_args=(setup, flow),
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    return answered.iter_batches(batch_size=None, prefetch_batches=0)


def _context() -> Any:
    """Return Ray Data's settings: one row per block, and no messages."""
    import ray

    context = ray.data.DataContext.get_current().copy()
    # A row is a chunk: with the smallest blocks, each is sent, retried and returned individually.
    context.target_max_block_size = 1
    # A chunk may take a long time on a slow machine.
    context.execution_no_progress_timeout_s = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context
