"""Connection to a Ray cluster, existing or started for the call."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from probe.errors import CallError, ProbeError
from probe.scale.processors import THREADS, environment, usable_processors

__all__ = ["check_address", "check_ray", "connected"]

_SECONDS_TO_REACH = 5
# Read by Ray on import or start: no usage reports, and messages only in its log files. Those about lost workers would
# appear on stdout, mixed with the results.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}


def check_ray() -> None:
    """Raise early if the extra is not installed.

    Raises:
        CallError: If Ray is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise CallError(f"--engine ray needs Ray: pip install 'encoder-surgery[ray]' ({error})") from error


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[None]:
    """Connect to Ray; an existing connection of this process is reused and kept.

    Args:
        address: `HOST:PORT` of the cluster's head, or `auto`; default: start a local cluster.
        workers: Number of CPUs of the local cluster; default: those that this process may use.

    Raises:
        CallError: If Ray is not installed, or the address is invalid.
        ProbeError: If there is no cluster at the address, or it cannot be joined.
    """
    check_ray()
    import ray

    _keep_quiet()
    if ray.is_initialized():
        yield
        return
    _connect(address, workers)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int | None) -> None:
    import ray

    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        quietly |= {"num_cpus": workers or usable_processors(), "include_dashboard": False}
    else:
        check_address(address)
    try:
        # The processes of a cluster that is started here compute with one thread each, as workers elsewhere do.
        with _no_stderr(), environment(dict.fromkeys(THREADS, "1")):
            ray.init(address=address or "local", **quietly)
    except Exception as error:  # Ray raises many types for missing or incompatible clusters
        words = " ".join(str(error).split())
        cluster = f"the Ray cluster at '{address}' cannot be joined" if address else "Ray cannot be started here"
        raise ProbeError(f"{cluster}: {words[:300]}") from error


def check_address(address: str) -> None:
    """Raise if nothing listens at an address other than `auto`; Ray itself would wait long.

    Raises:
        CallError: If the address is invalid.
        ProbeError: If nothing listens there.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise CallError(f"--address '{address}': expected HOST:PORT of the head, such as 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_REACH).close()
    except (OSError, OverflowError) as error:
        raise ProbeError(
            f"no Ray cluster at '{address}' ({error}): start one there with `ray start --head --port {port}`"
        ) from error


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Discard stderr output of native libraries."""
    saved = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _keep_quiet() -> None:
    """Disable Ray's logging to stderr; its log files are kept."""
    warnings.filterwarnings("ignore", module=r"ray\.")
    logger = logging.getLogger("ray.data")
    logger.handlers = [handler for handler in logger.handlers if "File" in type(handler).__name__]
