"""Tests of the study's runner: which steps run, which are skipped, and stopping."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from study.steps import SIGNALS, Runner, Step, StoppedError, StudyError

from s2st.process import durable_files
from s2st.process.folder_manifest import seal

pytestmark = pytest.mark.slow  # processes of its own
ROOT = Path(__file__).parents[3]
PATHS = (ROOT, ROOT / "examples" / "sutskever2014", ROOT / "examples")
REF = "le chat dort .\nun chien court .\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hyp").write_text("le chat dort .\nun chat court .\n")
    (tmp_path / "ref").write_text(REF)
    return tmp_path


def score(name, hypotheses, output, **more):
    command = ("score", hypotheses, "--ref", "ref", "--format", "json")
    return Step(name, command, (hypotheses, "ref"), (output,), stdout=output, **more)


def listing(name, inputs, output, **more):
    """A quick step: `s2st list` needs no input, but may wait for one."""
    return Step(name, ("list",), inputs, (output,), stdout=output, **more)


def runner(folder, jobs=2):
    said = []
    return Runner(folder, jobs, 1, said.append), said


def done(folder, steps, jobs=2):
    """Runs the steps; names of those that were started, in order."""
    own, said = runner(folder, jobs)
    own.run(steps)
    return [line.split("] ")[1].split("$ ")[0] for line in said if "$ s2st" in line]


def test_a_step_is_done_once_and_again_when_its_input_command_or_output_changed(folder):
    step = score("bleu", "hyp", "out/bleu.json")
    assert done(folder, [step]) == ["bleu"]
    found = json.loads((folder / "out/bleu.json").read_text())
    assert 0 < found["chrF2"]["score"] < 100
    assert done(folder, [step]) == []
    os.utime(folder / "hyp")  # only the time: the content counts
    assert done(folder, [step]) == []
    (folder / "hyp").write_text(REF)
    assert done(folder, [step]) == ["bleu"]
    assert json.loads((folder / "out/bleu.json").read_text())["chrF2"]["score"] == 100
    (folder / "out/bleu.json").write_text("{}")
    assert done(folder, [step]) == ["bleu"]
    (folder / "out/bleu.json").unlink()
    assert done(folder, [step]) == ["bleu"]
    other = Step("bleu", (*step.command, "--lowercase"), step.inputs, step.outputs,
                 stdout=step.stdout)  # fmt: skip
    assert done(folder, [other]) == ["bleu"]


def test_what_depends_on_a_changed_step_is_done_again_only_if_its_input_differs(folder):
    steps = [score("b", "hyp", "out/b"), listing("c", ("out/b",), "out/c")]
    assert done(folder, steps) == ["b", "c"]
    (folder / "out/b").unlink()
    assert done(folder, steps) == ["b"]  # the same output: c need not be done
    (folder / "hyp").write_text(REF)
    assert done(folder, steps) == ["b", "c"]


def test_steps_wait_for_the_makers_of_their_inputs_whatever_the_order(folder):
    steps = [listing("third", ("two",), "three"), listing("second", ("one",), "two"),
             listing("first", (), "one")]  # fmt: skip
    assert done(folder, steps) == ["first", "second", "third"]


def test_the_run_folder_can_be_moved(folder, tmp_path_factory):
    steps = [score("b", "hyp", "out/b")]
    done(folder, steps)
    moved = tmp_path_factory.mktemp("new") / "place"
    folder.rename(moved)
    assert done(moved, steps) == []


def test_a_failed_step_is_named_with_its_last_line_and_others_keep_their_work(folder):
    (folder / "hyp").write_text("one line\n")
    steps = [score("bad", "hyp", "out/bad"), listing("good", (), "out/good"),
             listing("after", ("out/bad",), "out/after")]  # fmt: skip
    own, _ = runner(folder)
    with pytest.raises(StudyError, match=r"bad failed: s2st: error: hyp, line 2: 1 lines.*bad.log"):
        own.run(steps)
    assert not (folder / "out/bad").exists()
    assert not (folder / "out/after").exists()
    (folder / "hyp").write_text(REF)
    assert "bad" in done(folder, steps)
    assert done(folder, steps) == []


def test_a_missing_input_and_an_output_that_was_not_written_are_errors(folder):
    own, said = runner(folder)
    with pytest.raises(StudyError, match="b: nothing-here does not exist"):
        own.run([listing("a", (), "out/a"), listing("b", ("nothing-here",), "out/b")])
    assert said == []  # found before a is done
    own, _ = runner(folder)
    with pytest.raises(StudyError, match=r"step a did not write .*other"):
        own.run([Step("a", ("list",), (), ("other",))])


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (listing("b", (), "out/a"), "out/a: a and b both make it"),
        (listing("a", (), "out/b"), "two steps have the same name"),
    ],
)
def test_two_steps_with_one_name_or_output_are_refused_before_any_starts(folder, second, told):
    own, said = runner(folder)
    with pytest.raises(StudyError, match=told):
        own.run([listing("a", (), "out/a"), second])
    assert said == []


def test_a_step_alone_has_nothing_beside_it(folder):
    steps = [
        listing("a", (), "a"), listing("b", (), "b"), listing("alone", (), "c", alone=True),
        listing("d", (), "d"),
    ]  # fmt: skip
    own, said = runner(folder, jobs=3)
    own.run(steps)
    running, beside = set(), []
    for line in said:
        name = line.split("] ")[1].split("$ ")[0].split(":")[0]
        if "$ s2st" in line:
            running.add(name)
            beside.append(set(running))
        else:
            running.discard(name)
    assert {"alone"} in beside
    assert not any("alone" in names and len(names) > 1 for names in beside)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_running_steps_and_the_run_goes_on_later(folder, number):
    os.mkfifo(folder / "pipe")  # a step that waits until it is told to stop
    waiting = Step("waits", ("score", "pipe", "--ref", "ref", "--format", "json"), ("ref",),
                   ("out/w",), stdout="out/w")  # fmt: skip
    own, said = runner(folder)

    def stop():
        while not said:
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(StoppedError) as caught:
        own.run([waiting])
    thread.join()
    assert caught.value.number == number
    stamp = json.loads((folder / "steps/waits.json").read_text())
    assert stamp["state"] == "begun"
    (folder / "pipe").unlink()
    (folder / "pipe").write_text(REF)
    assert done(folder, [waiting]) == ["waits"]
    assert json.loads((folder / "steps/waits.json").read_text())["seconds"] > stamp["seconds"] > 0


def test_a_signal_as_a_step_starts_reaches_that_step(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    own, _ = runner(folder)
    begin, begun = subprocess.Popen, []

    def started(*arguments, **more):
        begun.append(begin(*arguments, **more))
        own._stop(signal.SIGTERM, None)  # the runner does not know of the process yet
        return begun[0]

    monkeypatch.setattr(subprocess, "Popen", started)
    timer = threading.Timer(30, lambda: begun[0].kill())
    timer.start()
    with pytest.raises(StoppedError):
        own.run([Step("w", ("score", "pipe", "--ref", "ref"), ("ref",), ())])
    timer.cancel()
    assert begun[0].returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows")
def test_a_signal_that_nohup_ignores_stays_ignored(folder):
    seen = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Runner(folder, 1, 1, lambda _: seen.append(signal.getsignal(signal.SIGHUP))).run(
            [listing("a", (), "out/a")]
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIG_IGN] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's prctl")
def test_a_step_ends_with_a_runner_that_is_killed(folder):
    os.mkfifo(folder / "pipe")
    code = (
        "import sys; from pathlib import Path; from study.steps import Runner, Step\n"
        "step = Step('w', ('score', 'pipe', '--ref', 'ref'), ('ref',), ('w',), stdout='w')\n"
        "Runner(Path(sys.argv[1]), 1, 1, print).run([step])"
    )
    own = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))},
    )  # fmt: skip
    end = deadline(60, lambda: os.open(folder / "pipe", os.O_WRONLY | os.O_NONBLOCK))  # it reads
    own.kill()
    own.communicate()
    with pytest.raises(BrokenPipeError):
        deadline(60, lambda: os.write(end, b"line\n") and None)
    os.close(end)


def deadline(seconds, try_once):
    """What the call returns, once it neither returns None nor finds nobody at the pipe."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            found = try_once()
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            if found is not None:
                return found
        time.sleep(0.05)
    raise AssertionError("nothing happened in time")


def test_a_timed_step_is_begun_anew_after_a_stop(folder):
    step = Step("t", ("list",), (), ("out/t",), owned=("out",), stdout="out/t", alone=True)
    done(folder, [step])
    stamp = folder / "steps/t.json"
    stamp.write_text(
        json.dumps({**json.loads(stamp.read_text()), "state": "begun", "seconds": 9e9})
    )  # as a stop leaves it
    (folder / "out/left").write_text("part of the work")
    assert done(folder, [step]) == ["t"]
    assert not (folder / "out/left").exists()
    assert json.loads(stamp.read_text())["seconds"] < 1e9


def test_a_checkpoint_with_a_file_missing_or_cut_is_not_complete(folder):
    (folder / "best").mkdir()
    (folder / "best/weights").write_text("12345")
    facts = {"size": 5, "sha256": durable_files.sha256_of(folder / "best/weights")}
    (folder / "best/manifest.json").write_bytes(seal({"files": {"weights": facts}}))
    own, _ = runner(folder)
    step = Step("m", ("list",), ("best",), ("out/m",), stdout="out/m")
    own.run([step])
    assert own.complete(step)
    (folder / "best/weights").write_text("123")
    assert not own.complete(step)
    (folder / "best/weights").unlink()
    assert not own.complete(step)


def test_a_step_that_a_signal_ended_is_told_so(folder):
    os.mkfifo(folder / "pipe")
    own, said = runner(folder)
    waiting = Step("w", ("score", "pipe", "--ref", "ref"), ("ref",), ("out/w",), stdout="out/w")

    def kill():
        while not own._running:
            time.sleep(0.02)
        own._running[0].process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(StudyError, match="step w failed: signal 9 ended it"):
        own.run([waiting])
    thread.join()
    assert len(said) == 1


def test_what_an_earlier_run_with_other_inputs_left_is_removed_but_not_what_a_stop_left(folder):
    step = Step("a", ("list",), ("hyp",), ("out/a",), owned=("out",), stdout="out/a")
    done(folder, [step])
    (folder / "out/left").write_text("part of the work")
    (folder / "hyp").write_text("other\n")
    assert done(folder, [step]) == ["a"]
    assert not (folder / "out/left").exists()
    stamp = folder / "steps/a.json"
    stamp.write_text(
        json.dumps({**json.loads(stamp.read_text()), "state": "begun"})
    )  # as if killed
    (folder / "out/left").write_text("part of the work")
    assert done(folder, [step]) == ["a"]
    assert (folder / "out/left").exists()
