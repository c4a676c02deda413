"""Processors that this process may use: those of its cgroup's quota and affinity mask, not all of the host's."""

import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from probe.errors import CallError

__all__ = [
    "OMP_THREADS",
    "THREADS",
    "count_processors",
    "cpu_quota",
    "environment",
    "find_threads",
    "usable_processors",
]

OMP_THREADS = "OMP_NUM_THREADS"
# Read by OpenMP, MKL and OpenBLAS; and by the tokenizers.
THREADS = (OMP_THREADS, "RAYON_NUM_THREADS")
_CGROUPS = "sys/fs/cgroup"
# Folders of version 1 that hold the files of the controller `cpu`.
_CONTROLLERS = ("cpu,cpuacct", "cpuacct,cpu", "cpu")


def find_threads(asked: int | None) -> int | None:
    """Return the number of compute threads: that of `--threads`, of OMP_NUM_THREADS, or of the usable processors.

    Args:
        asked: Value of `--threads`, or None.

    Returns:
        The number; None if the libraries should choose, because the system has no affinity masks.

    Raises:
        CallError: If a given number is wrong.
    """
    most = os.cpu_count() or 1
    if asked is not None:
        if not 1 <= asked <= most:
            raise CallError(f"--threads {asked}: expected 1 to {most}, the number of processors of this machine")
        return asked
    said = os.environ.get(OMP_THREADS, "").strip()
    if not said:
        return usable_processors()
    first = said.partition(",")[0].strip()  # the others are for nested parallel regions
    if not first.isdecimal() or int(first) < 1:
        raise CallError(f"{OMP_THREADS}={said}: expected a number of threads of 1 or more; correct or unset it")
    return int(first)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within the block, for the libraries and for processes started there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def usable_processors() -> int | None:
    """Return the number of processors that this process can keep busy; None without affinity masks (not on Linux)."""
    return count_processors(Path("/"), os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def count_processors(root: Path, allowed: Collection[int]) -> int:
    """Return the number of processors that a process can keep busy, at least 1.

    These are the cores, each counted once however many threads it has, or the cgroup's quota if that is less. A
    fraction of a processor counts as one: with fewer threads, part of the quota could never be used.

    Args:
        root: Root of the file system.
        allowed: Numbers of the processors in the affinity mask.
    """
    quota = cpu_quota(root)
    cores = _count_cores(root, allowed)
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def _count_cores(root: Path, allowed: Collection[int]) -> int:
    """Return the number of cores of processors; those of an unknown core are counted alone."""
    return len({_siblings(root, number) or str(number) for number in allowed})


def _siblings(root: Path, number: int) -> str:
    return _read(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").strip()


def cpu_quota(root: Path) -> float | None:
    """Return the smallest quota, in processors, of this process's cgroup and those above it; None without a quota.

    Version 2 of cgroups has `cpu.max`, version 1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`
    (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/scheduler/sched-bwc.html). In a
    container the path of the cgroup may be the host's: folders that do not exist are passed over.

    Args:
        root: Root of the file system.
    """
    return min(_quotas(root), default=None)


def _quotas(root: Path) -> Iterator[float]:
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            folders = [root / _CGROUPS]
        elif "cpu" in controllers.split(","):
            folders = [root / _CGROUPS / name for name in _CONTROLLERS]
        else:
            continue
        for folder in folders:
            yield from _quotas_above(folder, path, version=1 if controllers else 2)


def _quotas_above(mount: Path, path: str, *, version: int) -> Iterator[float]:
    """Yield the quotas of a cgroup and all above it, up to the folder where its hierarchy is mounted."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for count in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:count])
        if version == 2:
            numbers = _read(folder / "cpu.max").split()
        else:
            numbers = [_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        # No quota is `max` in version 2 and -1 in version 1.
        if len(numbers) == 2 and all(number.isdecimal() and int(number) for number in numbers):
            yield int(numbers[0]) / int(numbers[1])


def _read(path: Path) -> str:
    """Return a file of the system; empty if it does not exist or is not readable."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
