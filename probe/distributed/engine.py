"""The Ray engine: passes over documents are made by workers of a Ray cluster, and end as if made here."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from probe.distributed.cluster import connected
from probe.distributed.corpus import DatasetSource, set_up_corpus
from probe.distributed.flow import chunk_results
from probe.distributed.worker import ChunkResult
from probe.distributed.worker_setup import set_up_workers
from probe.errors import CallError, ProbeError
from probe.evaluation.scan import ChunkFound, Scan
from probe.layers.hookpoint import TOKENS
from probe.store.keys import CHUNK

__all__ = ["RayEngine", "Tally"]

_log = logging.getLogger(__name__)
# Faults that a message names.
_NAMED = 3


@dataclass(frozen=True)
class RayEngine:
    """Makes passes over documents on a Ray cluster; the queries are read by who calls.

    Attributes:
        address: `HOST:PORT` of a cluster's head, or `auto`; a cluster of this machine is started when left out.
        workers: Workers, each with models of its own; as many as the cluster has room for when left out.
        gpus: GPUs of a worker; 1 when left out and the models run on one.
        source: The data set by name, for a worker that cannot read the corpus where it is here.
        trust: Whether code that a model's folder brings may run.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float | None = None
    source: DatasetSource | None = None
    trust: bool = False

    def __call__(self, scan: Scan) -> Iterator[ChunkFound]:
        """Yield what the encoders find in every chunk, as the workers finish them.

        Raises:
            CallError: Ray is not installed, or the cluster does not suit the call.
            ProbeError: There is no cluster, a worker cannot begin, or chunks could not be read.
        """
        _refuse_tokens(scan)
        gpus = _gpus_of_worker(self.gpus, scan)
        setup = set_up_workers(scan, set_up_corpus(scan.dataset, self.source, CHUNK), self.trust)
        documents = len(scan.dataset.documents)
        tally = Tally(setup.corpus.chunks, stored=scan.context.store is not None)
        with connected(self.address, self.workers):
            for result in chunk_results(setup, _count_workers(self.workers, gpus), gpus):
                found = tally.take(result)
                if found is not None:
                    scan.context.progress("documents", len(found.top.ids), documents)
                    yield found
        tally.check()


def _refuse_tokens(scan: Scan) -> None:
    """Refuse late interaction, whose queries stay with the reader that compares them."""
    tokens = [str(point) for point in scan.tracker.points if point.pooling == TOKENS]
    if tokens:
        raise CallError(f"--engine ray compares one vector per text, '{tokens[0]}' is many: leave one of them out")


def _gpus_of_worker(wanted: float | None, scan: Scan) -> float:
    """Return the GPUs of a worker; the workers run on the kind of device that the queries are read on."""
    device = next(iter(scan.readers.values())).model.device.type
    if device not in ("cpu", "cuda"):
        raise CallError(
            f"workers of Ray run on a processor or a CUDA GPU, the models here on {device}: use --device cpu"
        )
    if wanted and device == "cpu":
        raise CallError(
            f"--gpus-per-worker {wanted:g}, but the queries are read on this machine's processor: start the command on "
            "a machine with a GPU"
        )
    if wanted == 0 and device != "cpu":
        raise CallError("--gpus-per-worker 0, but the queries are read on a GPU: use --device cpu for both")
    return wanted if wanted is not None else float(device == "cuda")


def _count_workers(wanted: int | None, gpus: float) -> int:
    """Return how many workers to start."""
    import ray

    has = ray.cluster_resources()
    room = int(has.get("CPU", 0))
    if gpus:
        room = min(room, int(has.get("GPU", 0) / gpus))
    if room < 1:
        found = f"{has.get('CPU', 0):g} processors and {has.get('GPU', 0):g} GPUs"
        raise CallError(
            f"no worker fits into the cluster: it has {found}, a worker takes 1 processor and {gpus:g} GPUs"
        )
    if wanted is not None and wanted > room:
        _log.warning("the cluster has room for %d of %d workers: the others begin when it has more", room, wanted)
    return wanted or room


class Tally:
    """Counts the chunks of a pass; a table is made of all of them or not at all."""

    def __init__(self, chunks: int, stored: bool) -> None:
        """Expect some chunks; `stored` says whether what is done is in a store."""
        self._came = bytearray(chunks)
        self._stored = stored
        self._faults: list[str] = []
        self._warned: set[str] = set()

    def take(self, result: ChunkResult) -> ChunkFound | None:
        """Return what was found in a chunk, unless it came before or could not be read.

        Raises:
            ProbeError: No chunk can be read.
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
        """Refuse to go on without all chunks.

        Raises:
            ProbeError: Some could not be read, or came back from no worker.
        """
        missing = [number for number, came in enumerate(self._came) if not came]
        faults = self._faults + [f"chunk {number}: Ray lost it" for number in missing]
        if not faults:
            return
        named = "; ".join(faults[:_NAMED]) + ("; ..." if len(faults) > _NAMED else "")
        again = (
            "the other chunks are cached; run the same command for these" if self._stored else "fix it and run again"
        )
        raise ProbeError(f"no table: {len(faults)} of {len(self._came)} chunks could not be read: {named}\n({again})")
