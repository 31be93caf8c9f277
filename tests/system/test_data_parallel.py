"""Training over two processes: the same bits as one process that accumulates the same batches."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from builders import store
from ports import free_port
from ranks_job import train
from trainers import translations

from s2st.models.weight_files import load_tensors
from s2st.training.metrics_file import MEASURED

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
JOB = Path(__file__).with_name("ranks_job.py")
OPTIONS = {
    "arch": "lstm", "layers": 2, "hidden_size": 5, "embedding_size": 4, "dropout": 0.2,
    "batch_size": 5, "update_freq": 2, "max_epoch": 3.0, "device": "cpu", "threads": 1,
    "rank_timeout": 60.0,
}  # fmt: skip
# 24 pairs are 5 batches: the last update of an epoch has one, and one process none
# a dense table beside a sparse one; words drawn of the softmax, and as inputs
SHARED = {
    "hidden_size": 6, "embedding_size": 6, "tie_embeddings": "output", "softmax": "sampled",
    "softmax_samples": 3, "bidirectional": True, "layer_norm": True, "recurrent_dropout": 0.3,
    "criterion": "scheduled-sampling", "teacher_forcing": 0.2, "teacher_forcing_updates": 4,
}  # fmt: skip
GUIDED = {
    "arch": "transformer", "hidden_size": 6, "heads": 2, "embedding_size": None,
    "criterion": "guided-alignment", "alignment_weight": 0.5, "alignment_lexicon": "lexicon",
}  # fmt: skip
KINDS = {
    "adam": {
        "optimizer": "adam",
        "lr": 0.02,
        "criterion": "label-smoothed-cross-entropy",
        "best_checkpoint_metric": "exact",
        "log_interval": 2,
    },
    "sgd": {"optimizer": "sgd", "lr": 0.5, "clip_norm": 0.5},  # sparse tables
    "lazy-adam": {"optimizer": "lazy-adam", "lr": 0.02},
    "shared weights": {"optimizer": "lazy-adam", "lr": 0.02, **SHARED},
    "sharded": {
        "optimizer": "adam",
        "lr": 0.02,
        "clip_norm": 0.0,
        "best_checkpoint_metric": "exact",
    },
    "sharded and shared": {"optimizer": "sgd", "lr": 0.2, **SHARED, "layer_norm": False},
    "compressed": {"optimizer": "sgd", "lr": 0.1, "gradient_compression": "bfloat16"},
    "sharded and clipped": {"optimizer": "sgd", "lr": 0.5, "clip_norm": 0.5},
    "bfloat16": {"optimizer": "adam", "lr": 0.02, "precision": "bfloat16"},
    "guided": {"optimizer": "adam", "lr": 0.02, **GUIDED},
    "sharded and guided": {"optimizer": "sgd", "lr": 0.2, **GUIDED, "clip_norm": 0.0},
    "sharded bfloat16": {"optimizer": "sgd", "lr": 0.5, "precision": "bfloat16"},
}
LAST = "checkpoint_last"


def environment(rank=None, port=None):
    values = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if rank is not None:
        values |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        values |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return values


def pair(command, port):
    """Two processes, as torchrun would start them, but with no agent that ends one for another."""
    return [
        subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment(rank, port), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in (0, 1)
    ]  # fmt: skip


def two_ranks(cases):
    """Runs trainings [(store, options, stop), ...] over two processes; what each rank said."""
    keys = ("store", "options", "stop")
    lines = [dict(zip(keys, case, strict=True), port=free_port()) for case in cases]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    processes = pair([JOB], free_port())
    for process in processes:
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
    try:
        ended = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], ended
    return [out.splitlines() for out, _ in ended]


def files(folder):
    """Weights, optimiser state, and state with the validation curve."""
    names = ("weights.safetensors", "training/optimizer.safetensors")
    tensors = [load_tensors(folder / LAST / name) for name in names]
    return *tensors, json.loads((folder / LAST / "training" / "state.json").read_text())["state"]


def assert_same(left, right):
    mine, its = files(left), files(right)
    for tensors, others in zip(mine[:2], its[:2], strict=True):
        assert tensors.keys() == others.keys()
        for name, value in tensors.items():
            assert value.numpy().tobytes() == others[name].numpy().tobytes(), name
    assert mine[2] == its[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return store(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    """Every kind by one process and by two; and one run by 1, 2, sharded 2 and 1 processes."""
    folder = tmp_path_factory.mktemp("runs")

    lexicon = folder / "lexicon"
    lexicon.write_text("".join(translations()))

    def options(kind, name, **more):
        sharded = name.endswith("two") and kind.startswith("sharded")
        values = (
            OPTIONS
            | KINDS[kind]
            | {"save_dir": str(folder / name)}
            | more
            | ({"shard_parameters": True} if sharded else {})
        )
        if "alignment_lexicon" in values:
            values["alignment_lexicon"] = str(lexicon)
        return {option: value for option, value in values.items() if value is not None}

    for kind in KINDS:
        train(data, options(kind, f"{kind} one"))
    with pytest.raises(Exception, match="stopped by SIGTERM at update 2"):
        train(data, options("adam", "elastic"), stop=2)
    said = two_ranks(
        [(data, options(kind, f"{kind} two"), 0) for kind in KINDS]
        + [
            (data, options("adam", "default two", update_freq=None), 0),
            (data, options("adam", "elastic"), 3),
            (data, options("sharded", "elastic sharded", max_epoch=1.0, shard_parameters=True), 0),
        ]
    )
    train(data, options("adam", "elastic"))
    train(data, options("sharded", "elastic sharded"))
    return folder, said


@pytest.mark.parametrize(
    "kind", ["adam", "sgd", "lazy-adam", "shared weights", "bfloat16", "guided"]
)
def test_two_processes_are_one_that_accumulates(runs, kind):
    assert_same(runs[0] / f"{kind} one", runs[0] / f"{kind} two")


def test_two_processes_take_two_batches_where_nobody_names_a_number(runs):
    assert_same(runs[0] / "adam one", runs[0] / "default two")


@pytest.mark.parametrize("other", ["adam two", "elastic"])
def test_metrics_are_those_of_one_process(runs, other):
    """Also where one process was stopped, two continued, and one ended the run."""
    mine, its = (
        [json.loads(line) for line in (runs[0] / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("adam one", other)
    )
    for record in (*mine, *its):
        for name in MEASURED:
            record.pop(name, None)
    assert mine == its


def test_sharded_weights_translate_as_whole_ones(runs):
    one, two = (files(runs[0] / f"sharded {count}")[2]["history"] for count in ("one", "two"))
    assert [row["metrics"] for row in one] == [row["metrics"] for row in two]


def test_all_ranks_agree_on_where_they_stop(runs):
    """Each looks at signals of its own; the third look is in the same update on both."""
    said = runs[1]
    assert said[0] == said[1]
    assert len(said[0]) == len(KINDS) + 3
    assert said[0][: len(KINDS) + 1] == ["updates 9"] * (len(KINDS) + 1)
    assert "stopped by SIGTERM at update 4" in said[0][len(KINDS) + 1]


def test_a_run_may_go_on_with_another_number_of_processes(runs):
    assert_same(runs[0] / "adam one", runs[0] / "elastic")


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ("sharded", 1e-6),
        ("sharded and clipped", 1e-6),
        ("sharded and shared", 1e-6),
        ("sharded bfloat16", 1e-6),
        ("sharded and guided", 1e-6),
        ("elastic sharded", 1e-6),
        ("compressed", 1e-3),  # 8 bits of a number's digits, of gradients below 0.1
    ],
)
def test_other_ways_are_the_same_run_within_rounding(runs, kind, tolerance):
    one = files(runs[0] / ("sharded one" if kind.startswith("elastic") else f"{kind} one"))
    two = files(runs[0] / (kind if kind.startswith("elastic") else f"{kind} two"))
    for tensors, others in zip(one[:2], two[:2], strict=True):
        assert tensors.keys() == others.keys()
        for name, value in tensors.items():
            torch.testing.assert_close(value, others[name], rtol=1e-5, atol=tolerance)
    curves = [[row["nll"] for row in state["history"]] for state in (one[2], two[2])]
    assert curves[0] == pytest.approx(curves[1], rel=tolerance)
    assert len(curves[0]) == 3


# signals and lost processes, by the command line


def command(data, folder, **options):
    names = {"max_epoch": 1000.0, "log_interval": 1, "patience": 1000, "lr": 0.001}
    flags = [
        part
        for name, value in (OPTIONS | names | options).items()
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    return ["-m", "s2st_cli", "train", data, "--save-dir", folder, *flags]


def wait_for(stream, text, seconds=120):
    """Reads lines until one holds the text; the lines."""
    read, deadline = [], time.monotonic() + seconds
    while not read or text not in read[-1]:
        line = stream.readline()
        assert line, read
        assert time.monotonic() < deadline, read
        read.append(line)
    return read


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_lost_process_ends_the_other_within_the_time_out(tmp_path, data, number):
    first, second = pair(command(data, tmp_path / "run", rank_timeout=8), free_port())
    try:
        wait_for(first.stderr, "update 3:")
        second.send_signal(number)
        _, errors = first.communicate(timeout=60)
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    assert first.returncode == 1, errors
    told = [line for line in errors.splitlines() if line.startswith("s2st: error:")]
    assert len(told) == 1, errors
    assert "--rank-timeout 8 seconds" in told[0]
    assert "internal error" not in errors
    assert "Traceback" not in errors


JOIN = """
import os, sys, time
import torch
import torch.distributed as dist
from s2st.process.ranks import process_group, read_ranks

own, attempt = read_ranks(), int(sys.argv[1])
time.sleep(2 if own.rank != attempt % 2 else 0)  # the one or the other comes first
with process_group(own, torch.device("cpu"), 100):
    ones = torch.ones(1)
    dist.all_reduce(ones)
    print(int(ones), flush=True)
    if not attempt:
        os._exit(3)  # without a farewell
"""


def test_a_restart_joins_the_living_though_torchrun_keeps_its_store(monkeypatch):
    port = free_port()
    torchrun = torch.distributed.TCPStore(
        "127.0.0.1", port, None, True, wait_for_workers=False
    )  # of all attempts
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    for attempt in range(3):
        processes = pair(["-c", JOIN, str(attempt)], port)
        try:
            said = [process.communicate(timeout=150) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert [out for out, _ in said] == ["2\n"] * 2, said
        assert {process.returncode for process in processes} == {0 if attempt else 3}, said
    del torchrun


HANGING = """
import sys, time
from s2st.training.checkpoint_folder import CheckpointFolder
from s2st_cli.__main__ import entry_point

save = CheckpointFolder.save

def hanging(self, record, weights, optimizer, state, identity, best):
    if state.update == 9:  # the last
        time.sleep(10_000)
    return save(self, record, weights, optimizer, state, identity, best)

CheckpointFolder.save = hanging
entry_point()
"""


def test_nobody_ends_before_the_first_has_saved_the_last_checkpoint(tmp_path, data):
    """Else torchrun, which sees the end of a process only, would wait for the first for ever."""
    words = command(data, tmp_path / "run", rank_timeout=8, max_epoch=3.0)[2:]
    first, second = pair(["-c", HANGING, *words], free_port())
    try:
        _, errors = second.communicate(timeout=150)
        assert second.returncode == 1, errors
        assert "--rank-timeout 8 seconds" in errors
        assert first.poll() is None
        assert (tmp_path / "run" / LAST / "weights.safetensors").exists()  # it came to the last one
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def children(process):
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text().split()]


def rank_of(number):
    values = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
    return next((int(v[5:]) for v in values if v.startswith(b"RANK=")), None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("target", ["rank 1", "agent"])
def test_sigterm_under_torchrun_saves_once_and_the_run_goes_on(tmp_path, data, target):
    agent = subprocess.Popen(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
            *command(data, tmp_path / "run"),
        ],
        cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(agent.stderr, "update 4:")
        (other,) = [number for number in children(agent) if rank_of(number) == 1]
        os.kill(other if target == "rank 1" else agent.pid, signal.SIGTERM)
        _, errors = agent.communicate(timeout=90)
    finally:
        agent.kill()
        agent.wait()
    assert agent.returncode != 0
    assert errors.count("stopped by SIGTERM at update") == 1, errors
    done = files(tmp_path / "run")[2]["update"]
    assert f"stopped by SIGTERM at update {done}; saved" in errors
    plain = {k: v for k, v in OPTIONS.items() if k != "max_epoch"} | {"lr": 0.001, "patience": 1000}
    for name in ("run", "straight"):
        ends = {"save_dir": str(tmp_path / name), "max_epoch": None, "max_update": done + 4}
        ends["log_interval"] = 1  # else the checkpoints would count other reports
        train(data, plain | ends)
    assert_same(tmp_path / "run", tmp_path / "straight")
