"""What came back of the chunks of a corpus, and what did not."""

import logging

from probe.distributed.worker import ChunkResult
from probe.errors import ProbeError
from probe.evaluation.scan import ChunkFound

__all__ = ["Tally"]

_log = logging.getLogger(__name__)
_NAMED = 3


class Tally:
    """Counts the chunks of a pass; a table is made of all of them or not at all."""

    def __init__(self, chunks: int, kept: bool) -> None:
        """Expect some chunks; `kept` says whether what is done is in a store."""
        self._came = bytearray(chunks)
        self._kept = kept
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
        again = "run again for the rest, the others are in the store" if self._kept else "mend it and run again"
        raise ProbeError(f"no table: {len(faults)} of {len(self._came)} chunks could not be read: {named}\n({again})")
