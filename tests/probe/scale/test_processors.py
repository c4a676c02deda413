"""The processors a process may use, from made-up file systems."""

from pathlib import Path

import pytest

from probe.errors import CallError
from probe.scale import processors
from probe.scale.processors import count_processors, cpu_quota, find_threads

EIGHT = range(8)


def system(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a system below a root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({"a/b/cpu.max": "200000 100000"}, 2),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ({"a/b/cpu.max": "400000 100000", "a/cpu.max": "300000 100000", "cpu.max": "500000 100000"}, 3),
        ({"cpu.max": "50000 100000"}, 0.5),  # a container's own root, with the path of the host
        ({"a/b/cpu.max": "max 100000"}, None),
        ({"other/cpu.max": "100000 100000"}, None),
        ({"a/b/cpu.max": "nonsense", "a/cpu.max": "5 0"}, None),
        ({}, None),
    ],
)
def test_the_smallest_quota_of_version_2_counts(tmp_path: Path, quotas: dict[str, str], expected: float | None) -> None:
    files = {f"sys/fs/cgroup/{name}": text for name, text in quotas.items()}
    assert cpu_quota(system(tmp_path, {"proc/self/cgroup": "0::/a/b", **files})) == expected


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpuacct,cpu", "cpu"])
def test_the_smallest_quota_of_version_1_counts(tmp_path: Path, mount: str) -> None:
    at = f"sys/fs/cgroup/{mount}"
    files = {
        "proc/self/cgroup": "5:memory:/elsewhere\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/",
        f"{at}/docker/abc/cpu.cfs_quota_us": "250000",
        f"{at}/docker/abc/cpu.cfs_period_us": "100000",
        f"{at}/cpu.cfs_quota_us": "-1",
        f"{at}/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/elsewhere/cpu.cfs_quota_us": "1000",
        "sys/fs/cgroup/memory/elsewhere/cpu.cfs_period_us": "100000",
    }
    assert cpu_quota(system(tmp_path, files)) == 2.5


def test_a_path_above_the_namespace_reads_its_root(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/../../x", "sys/fs/cgroup/cpu.max": "300000 100000", "cpu.max": "100000 100000"}
    assert cpu_quota(system(tmp_path, files)) == 3


@pytest.mark.parametrize(
    ("quota", "allowed", "expected"),
    [("max 1", EIGHT, 8), ("150 100", EIGHT, 2), ("20 100", EIGHT, 1), ("900 100", EIGHT, 8), ("300 100", {1, 5}, 2)],
)
def test_threads_are_the_least_of_mask_and_quota(
    tmp_path: Path, quota: str, allowed: range | set[int], expected: int
) -> None:
    root = system(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": quota})
    assert count_processors(root, allowed) == expected


def test_two_threads_of_a_core_count_once(tmp_path: Path) -> None:
    name = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    root = system(tmp_path, {name.format(number): f"{number % 4},{number % 4 + 4}" for number in EIGHT})
    assert count_processors(root, EIGHT) == 4
    assert count_processors(root, {0, 4, 5}) == 2


def test_the_option_comes_before_the_variable_and_that_before_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(processors, "usable_processors", lambda: 5)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert (find_threads(7), find_threads(None)) == (7, 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert find_threads(None) == 5


@pytest.mark.parametrize("asked", [0, -1, 9])
def test_a_wrong_number_is_refused(monkeypatch: pytest.MonkeyPatch, asked: int) -> None:
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 8)
    with pytest.raises(CallError, match=f"--threads {asked}: expected 1 to 8"):
        find_threads(asked)


@pytest.mark.parametrize("said", ["0", "many", "-2", "2.5"])
def test_a_wrong_variable_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    with pytest.raises(CallError, match=f"OMP_NUM_THREADS={said}: expected a number"):
        find_threads(None)
