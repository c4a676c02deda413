"""What encodes the documents: threads of this process, or workers of a Ray cluster."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from encoder_surgery.shell.app import advanced, flag
from encoder_surgery.shell.panels import RUN_PANEL
from probe.errors import CallError
from probe.layers.hookpoint import TOKENS

if TYPE_CHECKING:
    from probe.data.sampling import SampleSize
    from probe.evaluation.scan import Engine
    from probe.sources.several import LoadedDataset

__all__ = ["EngineFlags", "ThreadsFlag"]

_LOCAL: Literal["local"] = "local"


@dataclass(frozen=True)
class ThreadsFlag:
    """Threads that compute; set for every command before it runs."""

    panel: ClassVar[str] = RUN_PANEL

    _: KW_ONLY
    threads: Annotated[
        int | None,
        flag("Compute threads; default: OMP_NUM_THREADS, or the processors of the container.", panel=RUN_PANEL),
    ] = None


@dataclass(frozen=True)
class EngineFlags:
    """Options of the engine."""

    panel: ClassVar[str] = RUN_PANEL

    engine: Annotated[Literal["local", "ray"], flag("This process, or a Ray cluster (extra ray).")] = _LOCAL
    address: Annotated[str | None, advanced("Address of the cluster: HOST:PORT or auto; default: start one here.")] = (
        None
    )
    workers: Annotated[int | None, advanced("Number of workers; default: as many as fit.")] = None
    gpus_per_worker: Annotated[float | None, advanced("GPUs per worker; default: 1 for a model on a GPU.")] = None

    def check(self, specs: Sequence[str]) -> None:
        """Check the values before any work.

        Args:
            specs: Encoders or poolings, as given.

        Raises:
            CallError: A value is wrong, or Ray is not installed.
            ProbeError: The address does not respond.
        """
        workers, gpus = self.workers, self.gpus_per_worker
        if self.engine == _LOCAL:
            for option, value in {"--address": self.address, "--workers": workers, "--gpus-per-worker": gpus}.items():
                if value is not None:
                    raise CallError(f"{option} {value} is for a Ray cluster: add --engine ray, or leave it out")
            return
        if workers is not None and workers < 1:
            raise CallError(f"--workers {workers} is out of range: expected at least 1")
        if gpus is not None and not _is_share(gpus):
            raise CallError(f"--gpus-per-worker {gpus:g}: expected 0, a fraction of a GPU such as 0.5, or an integer")
        tokens = [spec for spec in specs if re.search(rf"(^|:){TOKENS}($|\+)", spec)]
        if tokens:
            raise CallError(f"--engine ray does not support token vectors: remove '{tokens[0]}' or --engine ray")
        from probe.scale.cluster import check_address, check_ray

        check_ray()
        if self.address is not None:
            check_address(self.address)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Connect to the cluster, if any, before the texts are read."""
        if self.engine == _LOCAL:
            yield
            return
        from probe.scale.cluster import connected

        with connected(self.address, self.workers):
            yield

    def pick(self, read: "LoadedDataset", size: "SampleSize | None", *, trust: bool) -> "Engine":
        """Return the engine.

        Args:
            read: The data set that is read.
            size: The sample of it.
            trust: Whether code in a model's folder may run.
        """
        if self.engine == _LOCAL:
            from probe.evaluation.scan import scan_here

            return scan_here
        from probe.scale.corpus import DatasetSource
        from probe.scale.engine import RayEngine

        source = DatasetSource(read.request.name, read.request.split, size)
        return RayEngine(self.address, self.workers, self.gpus_per_worker, source, trust)


def _is_share(gpus: float) -> bool:
    return math.isfinite(gpus) and (0 <= gpus <= 1 or gpus == int(gpus) > 1)
