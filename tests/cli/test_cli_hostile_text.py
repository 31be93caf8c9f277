"""Untrusted text on the terminal: control sequences are shown, never executed."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest
from tampering import reseal

# colours, title of the window, 8-bit escape, reversed writing, a second line, DEL, bell
EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202egpj.exe\u2066\x7f\r"
LINE = EVIL + "\ns2st: error: not ours"


def check(*texts: str) -> None:
    """No character that a terminal obeys, nor one that makes lines."""
    for text in texts:
        for line in text.split("\n"):
            for character in line:
                kind = unicodedata.category(character)
                obeyed = kind in ("Cc", "Zl", "Zp") or character in "\u202a\u202b\u202c\u202d\u202e"
                obeyed = obeyed or "\u2066" <= character <= "\u2069"
                assert not obeyed or character == "\t", repr(line)
            assert not line.startswith("s2st: error: not ours")


@pytest.fixture
def evil(tmp_path, world):
    """A checkpoint whose training state, and a store whose manifest, a stranger wrote."""
    shutil.copytree(world.save_dir, tmp_path / "run", symlinks=True)
    best = (tmp_path / "run" / "checkpoint_best").resolve()
    reseal(
        best,
        lambda manifest: manifest.update(
            plugins=[LINE], summary={"update": LINE, "options": {"ema_decay": LINE}}
        ),
    )
    return tmp_path, best


def change_state(folder: Path, **values: object) -> None:
    path = folder / "training" / "state.json"
    state = json.loads(path.read_text())
    for key, value in values.items():
        state["identity"][key].update(value)
    path.write_text(json.dumps(state))
    reseal(folder)


def test_inspect_of_a_checkpoint(s2st, evil):
    _, best = evil
    outcome = s2st("inspect", best)
    assert "\\x1b[31mred" in outcome.out
    check(outcome.out, outcome.err)
    mean = [{"checkpoint": LINE, "update": LINE, "weight": 1}]
    reseal(best, lambda manifest: manifest.update(summary={"mean_of": mean}))
    outcome = s2st("inspect", best)
    assert "\\x1b[31mred" in outcome.out
    check(outcome.out, outcome.err)


@pytest.mark.parametrize("where", ["architecture", "tokenizer", "language", "file", "option"])
def test_manifests(s2st, evil, where):
    _, best = evil

    def change(manifest):
        if where == "architecture":
            manifest["architecture"]["name"] = LINE
        elif where == "option":
            manifest["architecture"]["options"] = {LINE: LINE}
        elif where == "tokenizer":
            manifest["tokenizers"]["source"]["options"] = {LINE: LINE}
        elif where == "language":
            manifest["tokenizers"]["source"]["language"] = LINE
        else:
            manifest["files"][LINE] = {"size": 1, "sha256": "0"}

    reseal(best, change)
    for command in (["inspect"], ["inspect", "--verify"], ["generate", "--checkpoint"]):
        outcome = s2st(*command, best)
        assert outcome.code in (2, 65, 66)
        assert len(outcome.err.splitlines()) == 1
        check(outcome.out, outcome.err)


def test_training_that_goes_on_from_a_strangers_state(s2st, world, tiny, tmp_path):
    """Names and values of options, of the environment, and the folder's own name."""
    run = tmp_path / f"run{EVIL}"
    shutil.copytree(world.save_dir, run, symlinks=True)
    last = (run / "checkpoint_last").resolve()
    change_state(last, other={EVIL: LINE, "save_dir": LINE}, environment={"torch": LINE})
    train = ["train", world.store, *tiny, "-a", "lstm", "--seed", 2, "--save-dir", run]
    outcome = s2st(*train)
    assert "\\x1b[31mred" in outcome.err
    check(outcome.out, outcome.err)
    change_state(last, options={EVIL: LINE, "arch": LINE})
    outcome = s2st(*train)
    outcome.check_error(2, "\\x1b[31mred")
    check(outcome.err)
    page = s2st("report", run, "-o", tmp_path / "page.html")
    check(page.err)
    assert "\x1b" not in (tmp_path / "page.html").read_text()


def test_lists_and_weights(s2st, world, tmp_path):
    """Features' names, numbers and identifiers of Moses lists; weights of a file."""
    name = "\x1b[31mA\x9b\u202e"
    (tmp_path / "lists").write_text(
        f"0 ||| le chat ||| {name}= 1 ||| -1\n0 ||| le ||| {name}= 2 ||| -2\n"
    )
    base = ["rescore-nbest", "--checkpoint", world.forward, "--source", world.source]
    outcome = s2st(
        *base, tmp_path / "lists", "--baseline-features", "own", "--format", "nbest",
        "--weights-out", tmp_path / "weights",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "\\x1b[31mA\\x9b\\u202e" in outcome.err
    check(outcome.err)
    assert name in outcome.out  # data stay as they are
    assert name in (tmp_path / "weights").read_text()
    outcome = s2st(*base, tmp_path / "lists", "--weight", f"{LINE}=1")
    assert outcome.code == 2
    check(outcome.err)
    for text in (
        f"0 ||| a ||| {name}= {name} ||| 0\n",
        f"{name} ||| a ||| A= 1 ||| 0\n",
        f"{name}\n",
    ):
        (tmp_path / "bad").write_text(text)
        outcome = s2st(*base, tmp_path / "bad")
        assert outcome.code == 65
        check(outcome.err)


def test_names_of_files_and_options(s2st, world, tmp_path):
    """Missing files, unknown options, commands, values; option files; each is one line."""
    path = tmp_path / LINE.replace("/", "")
    commands = [
        ["generate", "--checkpoint", path], ["inspect", path], ["report", path],
        ["generate", "--checkpoint", world.forward, path], ["train", path],
        ["score", path, "--ref", world.target], ["export", path, tmp_path / "new"],
        ["average", path, "-o", tmp_path / "new"], ["compare", path, path],
        ["analyze", "neighbors", LINE, "--checkpoint", world.forward],
        ["generate", f"--{LINE}"], [LINE], ["list", LINE], ["list", "--plugin", LINE],
        ["generate", "--search", LINE], ["generate", "--beam", LINE],
        ["generate", "--config", path],
        ["train", world.store, "--save-dir", tmp_path / "x", "--arch", LINE],
        ["preprocess", "-s", LINE, "-t", "fr", "--trainpref", path, "--destdir", tmp_path / "y"],
        ["train-ngram", path, "-o", tmp_path / "z"], ["check", path], ["check", path, path],
        ["demo", "--dir", world.folder, "--seed", LINE],
        ["analyze", "lengths", f"{LINE}={world.target}", "--ref", path, "--source", path],
    ]  # fmt: skip
    for command in commands:
        outcome = s2st(*command)
        assert outcome.code in (2, 65, 66), (command, outcome.err)
        assert len(outcome.err.splitlines()) == 1, outcome.err
        check(outcome.out, outcome.err)
    key = json.dumps(LINE)  # TOML's escapes are these too
    path.write_text(f"{key} = 1\n")
    outcome = s2st("generate", "--checkpoint", world.forward, "--config", path)
    outcome.check_error(2, "\\x1b[31m")
    check(outcome.err)
    path.write_bytes(b"\xff\n")
    s2st("generate", "--checkpoint", world.forward, path).check_error(65, "\\x1b[31m")
    path.write_text("a\r\nb\r\n")
    outcome = s2st("generate", "--checkpoint", world.forward, path, "-o", f"{path}.out")
    assert outcome.code == 0
    assert "\\x1b[31m" in outcome.err
    check(outcome.err)


def test_tables_for_reading(s2st, world, tmp_path):
    """Words of texts and vectors, and names of systems; JSON keeps all of it."""
    word = EVIL.replace("\r", "").replace("\x9b", "")
    texts = {
        "a": f"{word} chat\nle chien\n",
        "b": f"le chat {word}\nle chien\n",
        f"c{word}".replace("/", ""): "le chat\nle chien\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in texts)
    (tmp_path / "vectors").write_text(f"{word} 1 0\nle 1 1\n")
    commands = [
        ["compare", a, b, "--ref", c, "--source", a, "--samples", "2"],
        ["score", c, a, "--ref", b, "--samples", "2"],
        ["analyze", "lengths", c, "--ref", a, "--source", b, "--samples", "2", "--buckets", "1"],
        ["analyze", "neighbors", "le", "--vectors", tmp_path / "vectors"],
    ]
    for command in commands:
        outcome = s2st(*command)
        assert outcome.code == 0, outcome.err
        assert "\\x1b[31mred" in outcome.out, command
        check(outcome.out, outcome.err)
        outcome = s2st(*command, "--format", "json")
        assert outcome.code == 0, outcome.err
        check(outcome.out, outcome.err)
        assert "\x1b[31mred" in "".join(map(line_texts, outcome.lines))


def line_texts(line: str) -> str:
    """All strings of a JSON line."""
    found = []

    def walk(value):
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                found.append(key)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads(line))
    return "\n".join(found)


def test_phrases_and_attention(s2st, world, tmp_path):
    word = EVIL.replace("\r", "")
    (tmp_path / "phrases").write_text(f"{word}\tthe {word}\nb\tthe dog\nb\ta dog\n")
    outcome = s2st("analyze", "states", tmp_path / "phrases", "--checkpoint", world.forward)
    assert outcome.code == 0, outcome.err
    assert "\\x1b[31mred" in outcome.out
    check(outcome.out, outcome.err)


def test_plugins(s2st, world, tmp_path, monkeypatch):
    """Their names, descriptions, help texts, defaults, errors, and what they print."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil_plugin_text.py").write_text(
        "from dataclasses import dataclass\n"
        "from s2st.options.option_fields import option\n"
        "from s2st.search.registry import SEARCHES, SearchConfig\n"
        f"EVIL = {EVIL!r}\n"
        "print('printed', EVIL)\n"
        "@dataclass(frozen=True)\n"
        "class Config(SearchConfig):\n"
        "    evil_word: str = option(EVIL, EVIL)\n"
        "def build(config):\n"
        "    raise RuntimeError(EVIL)\n"
        "SEARCHES.register('evil-text', Config, build, EVIL)\n"
    )
    plugin = ["--plugin", "evil_plugin_text"]
    outcome = s2st("list", "--options", *plugin)
    assert outcome.out.count("\\x1b[31mred") == 3
    assert "printed \\x1b[31mred" in outcome.err
    check(outcome.out, outcome.err)
    outcome = s2st("generate", *plugin, "--search", "evil-text", "--help")
    assert "\\x1b[31mred" in outcome.out
    check(outcome.out, outcome.err)
    run = ["generate", "--checkpoint", world.forward, *plugin, "--search", "evil-text"]
    outcome = s2st(*run, world.source)
    outcome.check_error(1, "evil_plugin_text.py, line 10", "\\x1b[31mred")
    check(outcome.err)


def test_warnings_and_vocabularies(s2st, world, tmp_path):
    """Unknown words that a warning names; words of a dictionary that an error names."""
    word = EVIL.replace("\r", "")
    (tmp_path / "in").write_text(f"{word} {word}\n" * 30)
    outcome = s2st("generate", "--checkpoint", world.forward, tmp_path / "in", "--beam", "1")
    assert outcome.code == 0
    check(outcome.err)
    (tmp_path / "dict").write_text(f"{word} x\n")
    outcome = s2st(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", world.folder / "train",
        "--srcdict", tmp_path / "dict", "--destdir", tmp_path / "new",
    )  # fmt: skip
    assert outcome.code == 65
    check(outcome.err)


def test_translations_stay_as_they_are(s2st, world, tmp_path):
    """Data are data: a word that is copied through comes out byte for byte."""
    word = EVIL.replace("\r", "")
    (tmp_path / "in").write_text(f"{word}\n")
    (tmp_path / "lists").write_text(f"0 ||| {word} ||| A= 1 ||| -1\n")
    outcome = s2st(
        "rescore-nbest", "--checkpoint", world.forward, "--source", tmp_path / "in",
        tmp_path / "lists",
    )  # fmt: skip
    assert outcome.data == f"{word}\n".encode()
