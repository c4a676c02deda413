"""A Ray cluster of two nodes with one processor each, on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["two_nodes"]

# A lost machine is noticed after five checks.
_SYSTEM = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 100}


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Yield the cluster; its workers compute with one thread."""
    from probe.scale.cluster import check_ray

    check_ray()
    from ray.cluster_utils import Cluster

    before = os.environ.get("OMP_NUM_THREADS")
    node = {"num_cpus": 1, "object_store_memory": 200 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "_system_config": _SYSTEM})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()
        assert os.environ.get("OMP_NUM_THREADS") == before
