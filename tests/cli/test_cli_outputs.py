"""Output files of all commands: checked before the work, synced after it."""

import os
from pathlib import Path

import pytest

from s2st.process import durable_files

LIST = "0 ||| le chat ||| A= 1 ||| -1\n"
SHORT = ["--max-len-a", "0", "--max-len-b", "6", "--threads", "1"]


@pytest.fixture
def files(tmp_path, world):
    """Texts of this test's own, which may be spoilt."""
    for name, text in (("src", "the cat\n"), ("nbest", LIST), ("ref", "le chat\n")):
        (tmp_path / name).write_text(text)
    os.link(tmp_path / "src", tmp_path / "hard")
    os.symlink("src", tmp_path / "soft")
    return tmp_path


@pytest.fixture
def unloaded(monkeypatch):
    """Fails where a model is loaded: outputs are looked at before that."""

    def refuse(*_, **__):
        pytest.fail("a model was loaded first")

    from s2st.scoring import load_scorers

    monkeypatch.setattr(load_scorers, "load_saved", refuse)


def rescore(world, folder, *options):
    return [
        "rescore-nbest", "--checkpoint", world.forward, folder / "nbest",
        "--source", folder / "src", *options,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["src", "hard", "soft", "./src"])
def test_generate_never_overwrites_its_input(s2st, world, files, unloaded, monkeypatch, name):
    monkeypatch.chdir(files)
    outcome = s2st("generate", "--checkpoint", world.forward, files / "src", "-o", name)
    outcome.check_error(2, name, "overwrite")
    assert (files / "src").read_text() == "the cat\n"


@pytest.mark.parametrize("option", ["-o", "--report", "--weights-out"])
@pytest.mark.parametrize("name", ["src", "nbest", "ref"])
def test_rescoring_never_overwrites_its_inputs(s2st, world, files, unloaded, option, name):
    before = (files / name).read_text()
    arguments = rescore(world, files, "--tune", files / "ref", option, files / name)
    s2st(*arguments).check_error(2, name, "overwrite")
    assert (files / name).read_text() == before


def test_outputs_differ_from_each_other(s2st, world, files, unloaded):
    arguments = rescore(world, files, "-o", files / "new", "--report", files / "new")
    s2st(*arguments).check_error(2, "new", "overwrite")


@pytest.mark.slow
def test_redirections_count_as_files(shell, world, files):
    command = "s2st generate --checkpoint $1"
    for redirected in (f"{command} -o $2 < $2", f"{command} $2 >> $2"):
        shell(redirected, world.forward, files / "src").check_error(2, "overwrite")
        assert (files / "src").read_text() == "the cat\n"


@pytest.mark.parametrize("option", ["-o", "--report", "--weights-out"])
def test_bad_outputs_are_found_before_the_work(s2st, world, files, unloaded, option):
    places = ["missing/x", "src/x", "."]
    if os.geteuid():
        (files / "closed").mkdir(mode=0o500)
        places.append("closed/x")
    for place in places:
        s2st(*rescore(world, files, option, files / place)).check_error(74, "cannot be written")
        if option == "-o":
            arguments = ["generate", "--checkpoint", world.forward, files / "src", option]
            s2st(*arguments, files / place).check_error(74, "cannot be written")


def test_outputs_are_synced(s2st, world, files, monkeypatch):
    """The file after its last byte, then its folder."""
    seen = []

    def watch(operation, path, other):
        if operation == "sync":
            size = path.stat().st_size if path.is_file() else None
            seen.append((Path(os.path.realpath(path)), size))

    monkeypatch.setattr(durable_files, "_observe", watch)
    for arguments in (
        ["generate", "--checkpoint", world.forward, *SHORT, files / "src"],
        rescore(world, files),
    ):
        for name in ("out", "out.gz"):
            seen.clear()
            assert s2st(*arguments, "-o", files / name).code == 0
            size = (files / name).stat().st_size
            assert seen[-2:] == [(files / name, size), (files, None)]
    seen.clear()
    assert s2st("generate", "--checkpoint", world.forward, *SHORT, files / "src").code == 0
    assert s2st(*rescore(world, files), "-o", "/dev/null").code == 0
    assert not seen
