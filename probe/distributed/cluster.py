"""A connection to Ray: to a cluster, or to one that lives as long as the call."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from probe.errors import CallError, ProbeError

__all__ = ["check_address", "check_ray", "connected"]

_SECONDS_TO_REACH = 5
# Read by Ray when it is imported or started: no usage reports, and no messages but those in its own log files; those
# of a lost worker would stand on stdout, among the results.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}


def check_ray() -> None:
    """Fail early where the extra is not installed.

    Raises:
        CallError: It is not.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise CallError(f"--engine ray needs Ray: pip install 'encoder-surgery[ray]' ({error})") from error


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[None]:
    """Be connected to Ray; where this process is already, that connection is used and left as it is.

    Args:
        address: `HOST:PORT` of a cluster's head, or `auto`; a cluster of this machine is started when left out.
        workers: Processors of the cluster that is started; this machine's when left out.

    Raises:
        CallError: Ray is not installed, or the address is none.
        ProbeError: There is no cluster, or it cannot be joined.
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
        quietly |= {"num_cpus": workers, "include_dashboard": False}
    else:
        check_address(address)
    try:
        with _no_stderr():
            ray.init(address=address or "local", **quietly)
    except Exception as error:  # whatever a cluster of another version, or none, makes it raise
        words = " ".join(str(error).split())
        cluster = f"the Ray cluster at '{address}' cannot be joined" if address else "Ray cannot be started here"
        raise ProbeError(f"{cluster}: {words[:300]}") from error


def check_address(address: str) -> None:
    """Refuse an address, unless it is `auto`, where nothing listens, which Ray itself would take long to find out.

    Raises:
        CallError: It is no address.
        ProbeError: Nothing listens there.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise CallError(f"--address '{address}': expected HOST:PORT of the cluster's head, as 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_REACH).close()
    except (OSError, OverflowError) as error:
        raise ProbeError(
            f"no Ray cluster answers at '{address}' ({error}): start one there with `ray start --head --port {port}`"
        ) from error


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Drop what the libraries below Python write to stderr meanwhile."""
    saved = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _keep_quiet() -> None:
    """Leave stderr to us; Ray's own log stays in the files of its session."""
    warnings.filterwarnings("ignore", module=r"ray\.")
    logger = logging.getLogger("ray.data")
    logger.handlers = [handler for handler in logger.handlers if "File" in type(handler).__name__]
