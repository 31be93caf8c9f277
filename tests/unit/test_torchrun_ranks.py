"""Rank and world size under torchrun, and the division of an update's batches among ranks."""

import contextlib
import os
import subprocess
import sys

import pytest
import torch

from s2st.errors import UsageError
from s2st.jobs.train import run_training
from s2st.process.ranks import LostRankError, Ranks, process_group, read_ranks, stdout_to_stderr


def test_without_torchrun_there_is_one_rank():
    assert read_ranks({}) == Ranks(0, 1, 0)
    assert read_ranks({"RANK": "3"}).first  # not torchrun's without a size


def test_torchrun_says_which_rank_this_is():
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    assert read_ranks(told) == Ranks(rank=5, size=8, local_rank=1)
    assert not read_ranks(told).first


@pytest.mark.parametrize(
    "wrong",
    [{"WORLD_SIZE": "two"}, {"RANK": "2"}, {"RANK": "-1"}, {"WORLD_SIZE": "0"}, {"RANK": ""},
     {"LOCAL_RANK": "9"}, {"WORLD_SIZE": "9" * 5000}],
    ids=str,
)  # fmt: skip
def test_nonsense_is_one_line(wrong):
    with pytest.raises(UsageError, match=r"WORLD_SIZE=.*torchrun") as caught:
        read_ranks({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"} | wrong)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_one_rank_needs_no_process_group(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.distributed", None)  # an import would fail
    with process_group(Ranks(), torch.device("cpu"), 1.0):
        pass


def test_an_error_that_is_no_loss_of_a_rank_stays_what_it_is(monkeypatch):
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *_, **__: None)
    monkeypatch.setattr("s2st.process.ranks.open_store", lambda *_: torch.distributed.HashStore())
    monkeypatch.setattr("s2st.process.ranks.gather", lambda *_: "name")
    own = Ranks(0, 2, 0)
    with pytest.raises(RuntimeError, match="sizes differ"), process_group(own, CPU, 1.0):
        raise RuntimeError("sizes differ")
    with pytest.raises(LostRankError, match="--rank-timeout 1 seconds"):  # noqa: SIM117
        with process_group(own, CPU, 1.0):
            raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")


CPU = torch.device("cpu")


def test_batches_that_ranks_cannot_share_evenly_are_refused(monkeypatch):
    from s2st.jobs.train import TRAIN_SPEC
    from s2st.options.resolution import OptionSource, resolve
    from s2st.training.observer import Observer

    for name, value in (("WORLD_SIZE", "4"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    options = resolve(TRAIN_SPEC, [OptionSource("test", {"update_freq": 6})])
    with pytest.raises(UsageError, match=r"--update-freq 6.*4 processes.*; use --update-freq 8"):
        run_training("nowhere", options, Observer(), lambda: 0)


def test_what_libraries_print_while_ranks_connect_does_not_reach_stdout(capfd):
    os.write(1, b"data\n")
    with stdout_to_stderr():
        os.write(1, b"[Gloo] connected\n")
    os.write(1, b"more data\n")
    with contextlib.suppress(ZeroDivisionError), stdout_to_stderr():
        raise ZeroDivisionError
    os.write(1, b"the last\n")
    assert tuple(capfd.readouterr()) == ("data\nmore data\nthe last\n", "[Gloo] connected\n")


def test_ranks_connect_with_stdout_closed():
    script = (
        "import os\nfrom s2st.process.ranks import stdout_to_stderr\nos.close(1)\n"
        "with stdout_to_stderr():\n    pass\n"
        "try:\n    os.fstat(1)\nexcept OSError:\n    os.write(2, b'still closed')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stderr == b"still closed"
