"""The Ray engine: workers of a Ray cluster run passes over documents, with the same results as a local pass."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from probe.errors import CallError, ProbeError
from probe.evaluation.scan import ChunkFound, Scan
from probe.layers.hookpoint import TOKENS
from probe.scale.cluster import connected
from probe.scale.corpus import DatasetSource, set_up_corpus
from probe.scale.flow import chunk_results
from probe.scale.worker import ChunkResult
from probe.scale.worker_setup import set_up_workers
from probe.store.keys import CHUNK

__all__ = ["RayEngine", "Tally"]

_log = logging.getLogger(__name__)
# Maximum number of faults listed in a message.
_NAMED = 3


@dataclass(frozen=True)
class RayEngine:
    """Runs passes over documents on a Ray cluster; queries are encoded by the caller.

    Attributes:
        address: `HOST:PORT` of the cluster's head, or `auto`; default: start a local cluster.
        workers: Number of workers, each with its own models; default: as many as fit.
        gpus: GPUs per worker; default: 1 if the models run on a GPU.
        source: The data set by name, for workers that cannot read the corpus from this machine.
        trust: Whether code in a model's folder may run.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float | None = None
    source: DatasetSource | None = None
    trust: bool = False

    def __call__(self, scan: Scan) -> Iterator[ChunkFound]:
        """Yield the results of every chunk as workers finish them.

        Raises:
            CallError: If Ray is not installed, or the cluster does not match the call.
            ProbeError: If there is no cluster, a worker cannot start, or chunks failed.
        """
        _refuse_tokens(scan)
        gpus = _gpus_of_worker(self.gpus, scan)
        setup = set_up_workers(scan, set_up_corpus(scan.dataset, self.source, CHUNK), self.trust)
        documents = len(scan.dataset.documents)
        tally = Tally(setup.corpus.chunks, stored=setup.store is not None and not setup.store.temporary)
        with connected(self.address, self.workers):
            for result in chunk_results(setup, _count_workers(self.workers, gpus), gpus):
                found = tally.take(result)
                if found is not None:
                    scan.context.progress("documents", len(found.top.ids), documents)
                    yield found
        tally.check()


def _refuse_tokens(scan: Scan) -> None:
    """Raise for late interaction, whose query tokens stay with the caller's reader."""
    tokens = [str(point) for point in scan.tracker.points if point.pooling == TOKENS]
    if tokens:
        raise CallError(f"--engine ray does not support token vectors: remove '{tokens[0]}' or --engine ray")


def _gpus_of_worker(wanted: float | None, scan: Scan) -> float:
    """Return the GPUs per worker; workers use the kind of device that encodes the queries."""
    device = next(iter(scan.readers.values())).model.device.type
    if device not in ("cpu", "cuda"):
        raise CallError(f"Ray workers run on a CPU or a CUDA GPU, but the models run on {device}: use --device cpu")
    if wanted and device == "cpu":
        raise CallError(
            f"--gpus-per-worker {wanted:g}, but the queries are encoded on a CPU: run the command on "
            "a machine with a GPU"
        )
    if wanted == 0 and device != "cpu":
        raise CallError("--gpus-per-worker 0, but the queries are encoded on a GPU: use --device cpu for both")
    return wanted if wanted is not None else float(device == "cuda")


def _count_workers(wanted: int | None, gpus: float) -> int:
    """Return the number of workers to start."""
    import ray

    has = ray.cluster_resources()
    room = int(has.get("CPU", 0))
    if gpus:
        room = min(room, int(has.get("GPU", 0) / gpus))
    if room < 1:
        found = f"{has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs"
        raise CallError(f"no worker fits into the cluster: it has {found}, but a worker needs 1 CPU and {gpus:g} GPUs")
    if wanted is not None and wanted > room:
        _log.warning("the cluster has room for %d of %d workers: the others start when there is room", room, wanted)
    return wanted or room


class Tally:
    """Counts the chunks of a pass, all of which are needed for a table."""

    def __init__(self, chunks: int, stored: bool) -> None:
        """Expect a number of chunks; `stored` is whether finished chunks are kept in a store."""
        self._came = bytearray(chunks)
        self._stored = stored
        self._faults: list[str] = []
        self._warned: set[str] = set()

    def take(self, result: ChunkResult) -> ChunkFound | None:
        """Return the results of a chunk, or None if it is a duplicate or failed.

        Raises:
            ProbeError: If the fault affects all chunks.
        """
        for warning in result.warnings:
            self._warn(warning)
        if result.fatal:
            raise ProbeError(result.fault)
        if self._came[result.number]:
            return None
        self._came[result.number] = True
        if result.found is None:
            self._faults.append(result.fault)
            self._warn(result.fault)
        return result.found

    def _warn(self, words: str) -> None:
        if words not in self._warned:
            self._warned.add(words)
            _log.warning("%s", words)

    def check(self) -> None:
        """Raise unless all chunks are complete.

        Raises:
            ProbeError: If chunks failed or were lost.
        """
        missing = [number for number, came in enumerate(self._came) if not came]
        faults = self._faults + [f"chunk {number}: lost by Ray" for number in missing]
        if not faults:
            return
        named = "; ".join(faults[:_NAMED]) + ("; ..." if len(faults) > _NAMED else "")
        again = (
            "the other chunks are cached; run the same command for these" if self._stored else "fix it and run again"
        )
        raise ProbeError(f"no table: {len(faults)} of {len(self._came)} chunks failed: {named}\n({again})")
