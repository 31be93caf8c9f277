"""Rendezvous: ranks find the living processes in a store that still lists dead ones."""

import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist
from ports import free_port

from s2st.errors import UsageError
from s2st.process import stop_signals
from s2st.process.rendezvous import MissingRankError, Waiting, gather, open_store
from s2st.process.stop_signals import Stopped

SECONDS = 60


@pytest.fixture
def store():
    return dist.HashStore()


def all_of(store, size, first=0.0):
    """The group's name as each rank hears it; rank 0 comes `first` seconds after the others."""
    late = threading.Event()

    def rank_of(number):
        if number == 0:
            late.wait(first)
        return gather(store, number, size, Waiting(SECONDS))

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(rank_of, range(size)))


def test_all_ranks_agree_on_one_name():
    for size in (2, 5):
        assert len(set(all_of(dist.HashStore(), size))) == 1


@pytest.mark.parametrize("first", [0.0, 0.3])
def test_every_attempt_has_its_own_name(store, first):
    """The first rank of an attempt may find all keys that the attempt before left in the store."""
    names = [set(all_of(store, 3, first)) for _ in range(4)]
    assert [len(name) for name in names] == [1] * 4
    assert len(set.union(*names)) == 4


def test_a_word_of_the_dead_is_not_taken_for_the_living(store):
    all_of(store, 2)
    with pytest.raises(MissingRankError, match=r"^rank 1 did not join$"):
        gather(store, 0, 2, Waiting(0.3))
    with pytest.raises(MissingRankError, match="rank 0"):
        gather(store, 1, 2, Waiting(0.3))
    assert len(set(all_of(store, 2))) == 1  # and those two are forgotten


def test_the_missing_are_named(store):
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(gather, store, 2, 4, Waiting(0.6))
        with pytest.raises(MissingRankError, match=r"^rank 1, (2, )?3 did not join$"):
            gather(store, 0, 4, Waiting(0.3))
        with pytest.raises(MissingRankError):
            other.result()


def test_a_signal_ends_the_waiting_though_it_is_only_noted(store, monkeypatch):
    monkeypatch.setattr(stop_signals, "_number", 0)
    with stop_signals.noted():
        stop_signals.request(signal.SIGTERM)
        with pytest.raises(Stopped):
            gather(store, 0, 2, Waiting(SECONDS))


def test_the_store_is_rank_0s_own_or_that_of_torchrun():
    port = free_port()
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    agent = told | {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    for rank, environment in ((1, told), (0, agent)):  # nobody serves it
        with pytest.raises(MissingRankError, match="rank 0"):
            open_store(rank, Waiting(0.2), environment)
    own = open_store(0, Waiting(SECONDS), told)
    own.set("a", "b")
    for rank, environment in ((1, told), (0, agent)):
        assert open_store(rank, Waiting(SECONDS), environment).get("a") == b"b"


def test_a_socket_that_the_kernel_connects_with_itself_is_not_rank_0(monkeypatch):
    port = free_port()
    connect = socket.create_connection
    with_itself = []

    def connect_from_the_same_port(address, timeout):
        made = connect(address, timeout, ("127.0.0.1", port))
        with_itself.append(made.getsockname() == made.getpeername())
        return made

    monkeypatch.setattr(socket, "create_connection", connect_from_the_same_port)
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with pytest.raises(MissingRankError, match="rank 0"):
        open_store(1, Waiting(0.3), told)
    assert with_itself[:1] == [True]


@pytest.mark.parametrize("port", ["", "x", "99999", "9" * 5000])
def test_an_environment_without_an_address_is_one_line(port):
    with pytest.raises(UsageError, match=r"MASTER_PORT=.*torchrun") as caught:
        open_store(1, Waiting(1), {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
    assert len(str(caught.value)) < 400
