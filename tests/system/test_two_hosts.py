"""Training over two hosts: network namespaces with addresses of their own where the machine allows
it, else two torchrun agents on loopback. The weights are those of one process."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from s2st.demo_corpus import read_corpus

ROOT = Path(__file__).parents[2]
LIMIT = 240
OPTIONS = (
    "--layers 1 --hidden-size 16 --embedding-size 16 --batch-size 8 --update-freq 2 --max-update 6 "
    "--threads 1 --log-interval 3"
)


def quiet(*words):
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def two_hosts():
    """(command prefix, address, interface) of two hosts that see each other by one wire."""
    names = [f"s2st{os.getpid()}{side}" for side in "ab"]
    wires = [f"v{os.getpid() % 10**7}{side}" for side in "ab"]
    made = bool(shutil.which("ip")) and all(quiet("ip", "netns", "add", name) for name in names)
    try:
        made = made and quiet("ip", "link", "add", wires[0], "type", "veth", "peer", wires[1])
        for number, (name, wire) in enumerate(zip(names, wires, strict=True), start=1):
            made = made and quiet("ip", "link", "set", wire, "netns", name)
            for rest in (
                ("addr", "add", f"10.77.0.{number}/24", "dev", wire), ("link", "set", wire, "up"),
                ("link", "set", "lo", "up"),
            ):  # fmt: skip
                made = made and quiet("ip", "-n", name, *rest)
        if made:
            yield [
                (["ip", "netns", "exec", name], f"10.77.0.{number}", wire)
                for number, (name, wire) in enumerate(zip(names, wires, strict=True), start=1)
            ]
        else:
            yield [([], "127.0.0.1", "lo"), ([], "127.0.0.1", "lo")]
    finally:
        for name in names:
            quiet("ip", "netns", "del", name)


def start(prefix, words, folder, interface):
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
        "GLOO_SOCKET_IFNAME": interface,
    }  # fmt: skip
    return subprocess.Popen(
        [*prefix, sys.executable, *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    corpus = read_corpus(200, 20, 0)
    for name, pairs in (("train", corpus.train), ("valid", corpus.valid)):
        for suffix, side in (("en", "source"), ("fr", "target")):
            lines = "".join(getattr(pair, side) + "\n" for pair in pairs)
            (tmp_path / f"{name}.{suffix}").write_text(lines, "utf-8")
    words = "-m s2st_cli preprocess -s en -t fr --trainpref train --validpref valid --destdir bin"
    made = start([], words.split(), tmp_path, "lo")
    _, err = made.communicate(timeout=LIMIT)
    assert made.returncode == 0, err
    return tmp_path / "bin"


@pytest.mark.extensive
def test_two_hosts_train_the_weights_of_one_process(store, tmp_path):
    train = ["-m", "s2st_cli", "train", str(store), *OPTIONS.split(), "--save-dir"]
    alone = start([], [*train, "one"], tmp_path, "lo")
    _, err = alone.communicate(timeout=LIMIT)
    assert alone.returncode == 0, err
    with two_hosts() as hosts:
        address = hosts[0][1]
        agents = []
        for number, (prefix, own, interface) in enumerate(hosts):
            launch = [
                "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
                "--rdzv-backend", "c10d", "--rdzv-id", "test", "--local-addr", own,
                "--rdzv-endpoint", f"{address}:29477",
                "--rdzv-conf", f"is_host={int(number == 0)}",
            ]  # fmt: skip
            agents.append(start(prefix, [*launch, *train, "two"], tmp_path, interface))
        for agent in agents:
            _, err = agent.communicate(timeout=LIMIT)
            assert agent.returncode == 0, err
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        one, two = (tmp_path / run / "checkpoint_last" / name for run in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
