"""A Ray cluster of two nodes with one processor each, on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["two_nodes"]


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Yield the cluster; its workers compute with one thread."""
    from probe.ray_session import check_ray

    check_ray()
    from ray.cluster_utils import Cluster

    before = os.environ.get("OMP_NUM_THREADS")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200 << 20})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=200 << 20)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()
        assert os.environ.get("OMP_NUM_THREADS") == before
