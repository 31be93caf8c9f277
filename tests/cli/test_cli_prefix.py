"""`generate --prefix` and `--constraints`: what the translation of each line must have."""

import json
import os

import pytest

SEARCHES = ["beam", "greedy", "sampling", "diverse-beam", "stochastic-beam", "mbr"]
SHORT = ["--max-len-a", "0", "--max-len-b", "6", "--threads", "1"]


@pytest.fixture
def lines(world):
    return world.source.read_text("utf-8").split("\n")[:8]


@pytest.fixture
def words(world):
    """Six words that the models know."""
    entries = (world.store / "dict.fr.txt").read_text("utf-8").splitlines()
    return [word for word in (entry.split(" ")[0] for entry in entries) if word.isalpha()][:6]


@pytest.fixture
def generate(s2st, world, tmp_path, lines):
    """Translates the lines with prefixes or constraints, from a file or standard input."""

    def run(*options, model=world.forward, text=None, **files):
        words = ["generate", "--checkpoint", model, *SHORT, *options]
        for name, content in files.items():
            path = tmp_path / name
            path.write_text("".join(f"{line}\n" for line in content), "utf-8")
            words += [f"--{name}", path]
        text = lines if text is None else text
        return s2st(*words, stdin="".join(f"{line}\n" for line in text).encode())

    return run


def texts(outcome, form):
    assert outcome.code == 0, outcome.err
    if form == "text":
        return outcome.lines
    if form == "json":
        return [json.loads(line)["hypotheses"][0]["text"] for line in outcome.lines]
    best = {}
    for line in outcome.lines:
        number, text = line.split(" ||| ")[:2]
        best.setdefault(int(number), text)
    return list(best.values())


def starts(words):
    """A prefix for each of eight lines; some are free."""
    a, b, c, *_ = words
    return [a, "", f"{a} {b}", "   ", f"{c} {c} {c}", a, "", b]


@pytest.mark.parametrize("form", ["text", "moses", "json"])
@pytest.mark.parametrize("search", SEARCHES)
def test_line_i_begins_with_prefix_i(generate, words, form, search):
    prefixes = starts(words)
    options = ["--format", form, "--search", search, "--no-detokenize"]
    free = texts(generate(*options), form)
    made = texts(generate(*options, prefix=prefixes), form)
    for text, prefix, before in zip(made, prefixes, free, strict=True):
        assert f"{text} ".startswith(f"{prefix.strip()} ".lstrip())
        if not prefix.strip():
            assert text == before


@pytest.mark.parametrize("form", ["text", "moses", "json"])
@pytest.mark.parametrize("search", SEARCHES)
def test_every_phrase_occurs(generate, words, form, search):
    a, b, c, d, *_ = words
    phrases = [[a], [], [f"{a} {b}"], [c, d], [f"{a} {a}", b], [d, d], [], [f"{c} {b} {a}"]]
    constraints = ["\t".join(row) for row in phrases]
    options = ["--format", form, "--search", search, "--no-detokenize"]
    free = texts(generate(*options), form)
    made = texts(generate(*options, constraints=constraints), form)
    for text, row, before in zip(made, phrases, free, strict=True):
        assert all(f" {phrase} " in f" {text} " for phrase in row)
        if not row:
            assert text == before


def test_unknown_words_of_a_prefix_stay_and_are_reported(generate, lines):
    outcome = generate(prefix=["Zzyzx qwop", *[""] * 7])
    assert outcome.code == 0
    assert outcome.lines[0].startswith("Zzyzx qwop")
    assert "--prefix" in outcome.err


def test_an_empty_line_stays_empty(generate, words):
    outcome = generate(text=["", "the cat"], prefix=[words[0]] * 2, constraints=[words[1]] * 2)
    assert outcome.code == 0
    assert outcome.lines[0] == ""
    assert outcome.lines[1].startswith(words[0])
    assert words[1] in outcome.lines[1]


@pytest.mark.parametrize("options", [["--batch-size", 1], ["--buffer-size", 3]])
def test_batches_do_not_matter(generate, words, options):
    demands = {"prefix": starts(words), "constraints": [words[4], "", *[words[5]] * 6]}
    whole = generate(**demands)
    assert whole.code == 0, whole.err
    assert generate(*options, **demands).data == whole.data


def test_an_ensemble_keeps_them(generate, world, words):
    prefixes, constraints = starts(words), [words[4]] * 8
    outcome = generate(
        "--checkpoint", world.gru, "--no-detokenize", prefix=prefixes, constraints=constraints
    )
    for text, prefix in zip(texts(outcome, "text"), prefixes, strict=True):
        assert text.startswith(prefix.strip())
        assert words[4] in text.split()


@pytest.mark.parametrize("name", ["prefix", "constraints"])
def test_the_files_have_as_many_lines_as_the_input(generate, tmp_path, words, name):
    path = str(tmp_path / name)
    short = generate(**{name: [words[0]] * 7})
    assert short.code == 65
    assert f"{path}, line 8: ends after 7 lines" in short.err
    long = generate(**{name: [words[0]] * 9})
    assert long.code == 65
    assert f"{path}, line 9: has more lines than the input, which has 8" in long.err
    assert "Traceback" not in short.err + long.err


def test_a_phrase_that_the_model_cannot_write_is_one_clear_line(generate, tmp_path, words):
    outcome = generate(constraints=["", f"{words[0]}\t{words[1]} zzyzx", *[""] * 6])
    outcome.check_error(65, f"{tmp_path / 'constraints'}, line 2", "zzyzx", "vocabulary")


def test_one_standard_input(s2st, world):
    outcome = s2st("generate", "--checkpoint", world.forward, "--prefix", "-")
    outcome.check_error(2, "only one input can be standard input")


def test_a_job_is_another_with_another_prefix(s2st, world, words, tmp_path, lines, monkeypatch):
    """`--resume` compares the content of the files."""
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    command = [
        "generate", "--checkpoint", world.forward, *SHORT, tmp_path / "in", "-o", tmp_path / "out",
        "--batch-size", 2,
    ]  # fmt: skip
    for name in ("prefix", "constraints"):
        path = tmp_path / name
        path.write_text(f"{words[0]}\n" * 8, "utf-8")
        assert s2st(*command, f"--{name}", path).code == 0
        whole = (tmp_path / "out").read_bytes()
        (tmp_path / "out").unlink()

        from s2st.jobs.folder_queue import FolderQueue

        publish, count = FolderQueue.publish, iter(range(100))

        def failing(self, task, result, publish=publish, count=count):
            if next(count) == 2:
                raise OSError(28, "No space left on device")
            publish(self, task, result)

        with monkeypatch.context() as patch:
            patch.setattr(FolderQueue, "publish", failing)
            assert s2st(*command, f"--{name}", path).code == 74
        path.write_text(f"{words[1]}\n" * 8, "utf-8")
        s2st(*command, f"--{name}", path, "--resume").check_error(2, f"--{name}")
        path.write_text(f"{words[0]}\n" * 8, "utf-8")
        assert s2st(*command, f"--{name}", path, "--resume").code == 0
        assert (tmp_path / "out").read_bytes() == whole
        os.remove(tmp_path / "out")
