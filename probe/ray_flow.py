"""The flow through Ray Data: numbers of chunks go to a pool of workers, and their replies come back one by one."""

import pickle
from collections.abc import Iterator
from typing import Any

from probe.errors import ProbeError
from probe.ray_corpus import Gate, tell_chunks
from probe.ray_orders import Orders
from probe.ray_worker import ChunkWorker, Reply

__all__ = ["replies"]

# Chunks per worker that are told and not yet taken in.
_AHEAD = 4


def replies(orders: Orders, workers: int, gpus: float) -> Iterator[Reply]:
    """Yield a reply per chunk, in the order the workers finish; only a few are ever under way.

    Args:
        orders: What the workers are told.
        workers: Number of workers.
        gpus: GPUs of a worker.

    Raises:
        ProbeError: Ray gave up.
    """
    import ray

    ahead = _AHEAD * workers
    gate = _open_gate(ahead)
    told = _tell(orders.corpus.chunks, gate)
    batches = iter(_answer(told, ray.put(orders), gate, workers, gpus))
    while (batch := _next_batch(batches)) is not None:
        for data in batch["reply"]:
            reply: Reply = pickle.loads(data)
            yield reply
            gate.close.remote(reply.number)


def _next_batch(batches: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return next(batches, None)
    except Exception as error:  # Ray's errors have no common base
        words = " ".join(str(error).split())
        raise ProbeError(f"Ray gave up ({type(error).__name__}): {words[:300]}") from error


def _open_gate(ahead: int) -> Any:
    """Start the gate on this machine, whose loss ends the run in any case."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Gate).options(num_cpus=0, scheduling_strategy=here).remote(ahead)


def _tell(chunks: int, gate: Any) -> Any:
    """Return the numbers of the chunks as Ray Data has them; nothing runs before they are asked for."""
    import ray

    with ray.data.DataContext.current(_context()):
        return ray.data.from_items([{"corpus": 0}]).flat_map(tell_chunks, fn_args=(chunks, gate), num_cpus=0)


def _answer(told: Any, orders: Any, gate: Any, workers: int, gpus: float) -> Any:
    """Return the batches of replies; nothing runs before they are asked for."""
    import ray

    answered = told.map_batches(
        ChunkWorker,
        batch_size=1,
        fn_constructor_args=(orders, gate),
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    return answered.iter_batches(batch_size=None, prefetch_batches=0)


def _context() -> Any:
    """Return Ray Data's settings: every row by itself, and silence."""
    import ray

    context = ray.data.DataContext.get_current().copy()
    # A row is a chunk: blocks are as small as they can be, so that each is told, retried and taken in by itself.
    context.target_max_block_size = 1
    # A chunk may take a machine long.
    context.execution_no_progress_timeout_s = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context
