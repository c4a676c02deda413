"""The options of the engine that reads the documents: this process, or workers of a Ray cluster."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoder_surgery.shell.output import check_choice
from probe.errors import CallError
from probe.layers.hookpoint import TOKENS

if TYPE_CHECKING:
    from probe.evaluation.scan import Engine

__all__ = ["EngineOptions"]

_LOCAL, _RAY = "local", "ray"


@dataclass(frozen=True)
class EngineOptions:
    """The options of the engine, as typed.

    Attributes:
        engine: `local` or `ray`.
        address: Of a Ray cluster's head.
        workers: Number of workers.
        gpus: GPUs of a worker.
    """

    engine: str
    address: str | None
    workers: int | None
    gpus: float | None

    def check(self, specs: Sequence[str]) -> None:
        """Refuse values that cannot be, before any work.

        Args:
            specs: Encoders or poolings, as typed.

        Raises:
            CallError: A value is wrong, or Ray is not installed.
            ProbeError: Nothing listens at the address.
        """
        check_choice("--engine", self.engine, (_LOCAL, _RAY))
        if self.engine == _LOCAL:
            given = {"--address": self.address, "--workers": self.workers, "--gpus-per-worker": self.gpus}
            for option, value in given.items():
                if value is not None:
                    raise CallError(f"{option} {value} belongs to a Ray cluster: add --engine ray, or leave it out")
            return
        if self.workers is not None and self.workers < 1:
            raise CallError(f"--workers {self.workers} is out of range: expected at least 1")
        if self.gpus is not None and not _is_share(self.gpus):
            raise CallError(f"--gpus-per-worker {self.gpus:g}: expected 0, a part of a GPU as 0.5, or a whole number")
        tokens = [spec for spec in specs if re.search(rf"(^|:){TOKENS}($|\+)", spec)]
        if tokens:
            raise CallError(f"--engine ray compares one vector per text, '{tokens[0]}' is many: leave one of them out")
        from probe.distributed.cluster import check_address, check_ray

        check_ray()
        if self.address is not None:
            check_address(self.address)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Be connected to the cluster, where there is one, before anything is read."""
        if self.engine == _LOCAL:
            yield
            return
        from probe.distributed.cluster import connected

        with connected(self.address, self.workers):
            yield

    def pick(self, dataset: str, split: str | None, limit: int | None, *, trust: bool) -> "Engine":
        """Return the engine.

        Args:
            dataset: The data set, as typed.
            split: Whose judgements are used.
            limit: Documents kept.
            trust: Whether code that a model's folder brings may run.
        """
        if self.engine == _LOCAL:
            from probe.evaluation.scan import scan_here

            return scan_here
        from probe.distributed.corpus import DatasetSource
        from probe.distributed.engine import RayEngine

        return RayEngine(self.address, self.workers, self.gpus, DatasetSource(dataset, split, limit), trust)


def _is_share(gpus: float) -> bool:
    return math.isfinite(gpus) and (0 <= gpus <= 1 or gpus == int(gpus) > 1)
