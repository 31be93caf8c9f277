"""The default number of threads: affinity, quotas of control groups, ranks of a machine."""

import os
import subprocess
import sys

import pytest

from s2st.errors import UsageError
from s2st.process import available_cpus as module
from s2st.process.available_cpus import available_cpus, default_threads
from s2st.process.torch_import import set_waiting_policy

CPUS = 64


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with 64 CPUs."""
    monkeypatch.setattr(module, "_affinity", lambda: CPUS)


@pytest.fixture
def groups(tmp_path):
    """Writes fake files of control groups; returns the CPUs that they allow."""

    def write(own: str, files: dict[str, str]) -> int:
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "own").write_text(own)
        return available_cpus(tmp_path / "cgroup", tmp_path / "own")

    return write


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"a/b/cpu.max": "max 100000\n"}, CPUS),
        ({"a/b/cpu.max": "200000 100000\n"}, 2),
        ({"a/b/cpu.max": "150000 100000\n"}, 2),  # one thread could not use it
        ({"a/b/cpu.max": "10000 100000\n"}, 1),  # less than one CPU
        ({"a/b/cpu.max": "800000 100000\n", "a/cpu.max": "300000 100000\n"}, 3),  # a parent's
        ({"a/b/cpu.max": "max 100000\n", "cpu.max": "250000 50000\n"}, 5),  # the root's
        ({"a/b/cpu.max": "99900000 100000\n"}, CPUS),  # more than the machine has
        ({"a/b/cpu.max": "nonsense\n", "a/cpu.max": "7 0\n"}, CPUS),
        ({}, CPUS),
    ],
    ids=str,
)
def test_version_2(groups, files, cpus):
    assert groups("0::/a/b\n", files) == cpus


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_version_1(groups, folder):
    own = "4:memory:/x\n3:cpu,cpuacct:/docker/abc\n0::/\n"
    group = f"{folder}/docker/abc"
    unlimited = {f"{group}/cpu.cfs_quota_us": "-1\n", f"{group}/cpu.cfs_period_us": "100000\n"}
    assert groups(own, unlimited) == CPUS
    above = {f"{folder}/cpu.cfs_quota_us": "400000\n", f"{folder}/cpu.cfs_period_us": "100000\n"}
    assert groups(own, above) == 4  # a container's own group is mounted as the root
    assert groups(own, {f"{group}/cpu.cfs_quota_us": "50000\n"}) == 1


def test_without_control_groups_the_affinity_counts(tmp_path):
    assert available_cpus(tmp_path / "none", tmp_path / "none") == CPUS
    (tmp_path / "own").write_bytes(b"\xff\n")
    assert available_cpus(tmp_path, tmp_path / "own") == CPUS


def test_ranks_of_a_machine_share_its_cpus(monkeypatch):
    monkeypatch.setattr(module, "available_cpus", lambda: 8)
    torchrun = {"RANK": "1", "WORLD_SIZE": "6", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "3"}
    assert default_threads(64, {}) == 8
    assert default_threads(64, torchrun) == 2
    assert default_threads(1, {}) == 1  # the caller's torch.set_num_threads
    with pytest.raises(UsageError):
        default_threads(64, {"WORLD_SIZE": "two"})


def test_the_users_variable_counts_but_not_that_of_torchrun(monkeypatch):
    monkeypatch.setattr(module, "available_cpus", lambda: 8)
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert default_threads(5, {"OMP_NUM_THREADS": "5"}) == 5
    monkeypatch.setattr(module, "_set_by_parent", lambda: False)
    assert default_threads(1, torchrun | {"OMP_NUM_THREADS": "1"}) == 1
    monkeypatch.setattr(module, "_set_by_parent", lambda: True)
    assert default_threads(1, torchrun | {"OMP_NUM_THREADS": "1"}) == 4


def test_who_set_the_variable_is_read_from_the_parent(tmp_path):
    folder = tmp_path / str(os.getppid())
    assert not module._set_by_parent(tmp_path)  # unknown: the user's
    folder.mkdir()
    (folder / "environ").write_bytes(b"A=1\0OMP_NUM_THREADS=1\0")
    assert not module._set_by_parent(tmp_path)
    (folder / "environ").write_bytes(b"A=1\0XOMP_NUM_THREADS=1\0")
    assert module._set_by_parent(tmp_path)


def test_idle_threads_sleep_after_a_short_spin_unless_the_user_chose():
    plain = {"A": "1"}
    set_waiting_policy(plain)
    assert plain == {"A": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000"}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        chosen = {name: "7"}
        set_waiting_policy(chosen)
        assert chosen == {name: "7"}


SHOW = """
from s2st.process.device import DeviceConfig, setup_device
from s2st.process.torch_import import import_torch
import_torch()
setup_device(DeviceConfig(device="cpu"))
import torch
print(torch.get_num_threads())
"""


def in_process(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    return subprocess.run(
        [*command, sys.executable, "-c", SHOW],
        capture_output=True, text=True, check=True, env=environment | more,
    )  # fmt: skip


@pytest.mark.slow
def test_taskset_limits_the_threads():
    cpu = min(os.sched_getaffinity(0))
    assert in_process("taskset", "-c", str(cpu)).stdout == "1\n"


@pytest.mark.slow
def test_libgomp_sees_the_waiting_policy():
    shown = in_process(OMP_DISPLAY_ENV="verbose").stderr  # printed when the library is loaded
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in shown
    assert "GOMP_SPINCOUNT = '2000'" in shown
    shown = in_process(OMP_DISPLAY_ENV="true", OMP_WAIT_POLICY="active").stderr
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in shown
