"""The engine that reads the documents, as asked for: this process, or workers of a Ray cluster."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.options import DataFlags
from encoder_surgery.shell.output import check_choice
from probe.errors import CallError
from probe.layers.hookpoint import TOKENS

if TYPE_CHECKING:
    from probe.evaluation.scan import Engine

__all__ = ["EngineFlags"]

_LOCAL, _RAY = "local", "ray"


@dataclass(frozen=True)
class EngineFlags:
    """Options of the engine."""

    panel: ClassVar[str] = "Engine"

    engine: Annotated[str, flag("What reads the documents: local, or ray (needs the extra ray).")] = _LOCAL
    address: Annotated[str | None, flag("Of a Ray cluster: HOST:PORT or auto; one is started here when left out.")] = (
        None
    )
    workers: Annotated[int | None, flag("Of the Ray cluster; as many as it has room for when left out.")] = None
    gpus_per_worker: Annotated[
        float | None, flag("Of the Ray cluster; 1 where the model runs on a GPU, when left out.")
    ] = None

    def check(self, specs: Sequence[str]) -> None:
        """Refuse values that cannot be, before any work.

        Args:
            specs: Encoders or poolings, as typed.

        Raises:
            CallError: A value is wrong, or Ray is not installed.
            ProbeError: Nothing listens at the address.
        """
        check_choice("--engine", self.engine, (_LOCAL, _RAY))
        workers, gpus = self.workers, self.gpus_per_worker
        if self.engine == _LOCAL:
            for option, value in {"--address": self.address, "--workers": workers, "--gpus-per-worker": gpus}.items():
                if value is not None:
                    raise CallError(f"{option} {value} belongs to a Ray cluster: add --engine ray, or leave it out")
            return
        if workers is not None and workers < 1:
            raise CallError(f"--workers {workers} is out of range: expected at least 1")
        if gpus is not None and not _is_share(gpus):
            raise CallError(f"--gpus-per-worker {gpus:g}: expected 0, a part of a GPU as 0.5, or a whole number")
        tokens = [spec for spec in specs if re.search(rf"(^|:){TOKENS}($|\+)", spec)]
        if tokens:
            raise CallError(f"--engine ray compares one vector per text, '{tokens[0]}' is many: leave one of them out")
        from probe.distributed.cluster import check_address, check_ray

        check_ray()
        if self.address is not None:
            check_address(self.address)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Connect to the cluster, if there is one, before anything is read."""
        if self.engine == _LOCAL:
            yield
            return
        from probe.distributed.cluster import connected

        with connected(self.address, self.workers):
            yield

    def pick(self, data: DataFlags, *, trust: bool) -> "Engine":
        """Return the engine.

        Args:
            data: The data set that is read.
            trust: Whether code that a model's folder brings may run.
        """
        if self.engine == _LOCAL:
            from probe.evaluation.scan import scan_here

            return scan_here
        from probe.distributed.corpus import DatasetSource
        from probe.distributed.engine import RayEngine

        source = DatasetSource(data.dataset, data.split, data.limit)
        return RayEngine(self.address, self.workers, self.gpus_per_worker, source, trust)


def _is_share(gpus: float) -> bool:
    return math.isfinite(gpus) and (0 <= gpus <= 1 or gpus == int(gpus) > 1)
