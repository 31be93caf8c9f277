"""Stop signals are delayed until the end of a critical section, and no longer."""

import contextlib
import signal

import pytest

from s2st.process import stop_signals
from s2st.process.stop_signals import Stopped, held, noted, request, requested


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(stop_signals, "_number", 0)
    monkeypatch.setattr(stop_signals, "_holds", 0)
    monkeypatch.setattr(stop_signals, "_raised", False)


def test_a_request_breaks_off_at_once():
    with pytest.raises(Stopped, match=r"^stopped by SIGTERM$") as caught:
        request(signal.SIGTERM)
    assert caught.value.number == signal.SIGTERM
    request(signal.SIGHUP)  # what is being cleaned up is not broken off again
    assert requested() == signal.SIGTERM


def test_what_is_held_is_done_to_its_outer_end():
    done = []

    def work():
        with held():
            with held():
                request(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("after")

    with pytest.raises(Stopped):
        work()
    assert done == ["inner", "outer"]


def test_an_error_in_what_is_held_stays_the_error():
    def fail():
        with held():
            request(signal.SIGINT)
            raise ValueError

    with pytest.raises(ValueError):
        fail()


def test_a_request_that_was_swallowed_comes_back():
    with contextlib.suppress(Stopped):
        request(signal.SIGTERM)
    with pytest.raises(Stopped), held():
        pass


def test_exceptions_of_libraries_do_not_catch_it():
    assert not issubclass(Stopped, Exception)


def test_a_job_that_looks_itself_is_never_broken_off():
    with noted() as number:
        assert number() == 0
        request(signal.SIGHUP)
        with held():
            pass
        assert number() == signal.SIGHUP


def test_it_is_known_whether_a_signal_stopped_the_work():
    assert stop_signals.raised_for() == 0
    with noted():
        request(signal.SIGTERM)
        assert stop_signals.raised_for() == 0
    with pytest.raises(Stopped), held():
        pass
    assert stop_signals.raised_for() == signal.SIGTERM
