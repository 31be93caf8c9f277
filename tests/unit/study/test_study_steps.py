"""Tests of the study's runner: what is done, what is skipped, and what a stop leaves."""

import json
import os
import signal
import threading
import time

import pytest
from study.steps import Runner, Step, StoppedError, StudyError

REF = "le chat dort .\nun chien court .\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hyp").write_text("le chat dort .\nun chat court .\n")
    (tmp_path / "ref").write_text(REF)
    return tmp_path


def score(name, hypotheses, output, **more):
    command = ("score", hypotheses, "--ref", "ref", "--json")
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
    own, _ = runner(folder)
    with pytest.raises(StudyError, match="nothing-here"):
        own.run([listing("a", ("nothing-here",), "out/a")])
    own, _ = runner(folder)
    with pytest.raises(StudyError, match=r"step a did not write .*other"):
        own.run([Step("a", ("list",), (), ("other",))])


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


def test_a_signal_ends_running_steps_and_the_run_goes_on_later(folder):
    os.mkfifo(folder / "pipe")  # a step that waits until it is told to stop
    waiting = Step("waits", ("score", "pipe", "--ref", "ref", "--json"), ("ref",), ("out/w",),
                   stdout="out/w")  # fmt: skip
    own, said = runner(folder)

    def stop():
        while not said:
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(StoppedError) as caught:
        own.run([waiting])
    thread.join()
    assert caught.value.number == signal.SIGTERM
    stamp = json.loads((folder / "steps/waits.json").read_text())
    assert stamp["state"] == "begun"
    (folder / "pipe").unlink()
    (folder / "pipe").write_text(REF)
    assert done(folder, [waiting]) == ["waits"]
    assert json.loads((folder / "steps/waits.json").read_text())["seconds"] > stamp["seconds"] > 0


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
