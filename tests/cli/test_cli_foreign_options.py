"""Options of other programs: the error names ours; and one spelling for a thing in s2st itself."""

import re
from pathlib import Path

import click
import pytest
from options_of import commands, parameters

from s2st.jobs.list_components import REGISTRIES
from s2st_cli.foreign_options import FORMER, NOTHING, TOOLKITS, advice

ALL = list(parameters())
COMMANDS = {words[-1] for words, _ in commands()}
OURS = {}  # command -> its options, with those of all its components
for _parameter in ALL:
    _flags = (*_parameter.parameter.opts, *_parameter.parameter.secondary_opts)
    _names = [flag for flag in _flags if flag.startswith("--")]
    for _word in {*_parameter.words[:2]} & COMMANDS:  # the inner name of `analyze states` counts
        OURS.setdefault(_word, set()).update(_names)
ROWS = [
    (toolkit, command, theirs, ours)
    for toolkit, by_command in TOOLKITS.items()
    for command, options in by_command.items()
    for theirs, ours in options.items()
]
PAGE = Path(__file__).parents[2] / "docs" / "other-toolkits.md"


@pytest.mark.parametrize(("toolkit", "command", "theirs", "ours"), ROWS)
def test_what_the_table_names_exists(toolkit, command, theirs, ours):
    assert theirs == theirs.lower().replace("_", "-")
    assert f"--{theirs}" not in OURS[command], "an option of s2st needs no advice"
    place = command
    for word in re.findall(r"[a-z0-9-]+", ours) if "torchrun" not in ours else ():
        place = word if word in COMMANDS else place  # "preprocess --max-length N"
        assert not word.startswith("--") or word in OURS[place], f"{place} has no {word}"
    assert not ours.endswith(".")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train d --finetune-from-model m", "fairseq; use --finetune-from CHECKPOINT"),
        ("train d --reduce_lr_on_plateau", "fairseq; use --lr-scheduler plateau"),
        ("train d --save-dir=r --encoder-embed-dim=3", "fairseq; use --embedding-size N"),
        ("train d --user-dir p", "fairseq; use --plugin MODULE"),
        ("train d --task translation", "fairseq; leave it out: the store"),
        ("train d -word_vec_size 4", "OpenNMT-py; use --embedding-size N"),
        ("generate --checkpoint m --sampling-topk 3", "use --search sampling --top-k N"),
        ("generate --checkpoint m --beam-size=3", "of OpenNMT-py and Marian; use --beam N"),
        ("generate -output f", "OpenNMT-py; use --output-file FILE"),
        ("generate -checkpoint m", "-checkpoint: write --checkpoint, with two dashes"),
        ("generate -max_len_b 3", "-max_len_b: write --max-len-b, with two dashes"),
        ("rescore-nbest l --source s --output nbest", "an older s2st; use --format 1best"),
        ("analyze neighbours a --json", "an older s2st; use --format json"),
        ("average a -o b --output c", "use --output-folder FOLDER"),
        ("train d --frobnicate", "No such option '--frobnicate'"),
    ],
)
def test_the_error_says_what_to_write(s2st, arguments, message):
    s2st(*arguments.split()).check_error(2, message)


def test_an_option_with_one_dash_never_becomes_a_file_name(s2st, tmp_path, monkeypatch):
    """`-output f` wrote to the file `utput`."""
    monkeypatch.chdir(tmp_path)
    s2st("generate", "-output", "f", "--checkpoint", "m").check_error(2, "--output-file")
    assert list(tmp_path.iterdir()) == []


def test_values_may_look_like_options_of_others(s2st, world, tmp_path):
    """What follows -- is a file name; a value of -o with the same letters is one too."""
    outcome = s2st("generate", "--checkpoint", world.forward, "--", tmp_path / "-output")
    outcome.check_error(66, "-output")
    assert advice("generate", "--no-such") is None


def test_one_spelling_for_a_thing():
    """The same letter, and the same word, means the same in every command."""
    for case in ALL:
        option, command = case.parameter, case.words[0]
        if not isinstance(option, click.Option):
            continue
        meaning = {
            "-o": {"--output-file", "--output-folder"},
            "-s": {"--source-lang"},
            "-t": {"--target-lang"},
            "-r": {"--ref"},
            "-a": {"--arch"},
        }
        for letter, words in meaning.items():
            if letter in option.opts:
                assert words & set(option.opts), f"{command} {option.opts}"
        assert not {"--json", "--output"} & set(option.opts), command
        assert all("_" not in flag for flag in option.opts), command
    for _, command in commands():
        flags = {flag for option in command.params for flag in option.opts}
        assert not {"--output-file", "--output-folder"} & flags or "-o" in flags, command.name


@pytest.mark.parametrize("kind", REGISTRIES)
def test_registered_names_have_hyphens(kind):
    names = REGISTRIES[kind].names()
    assert [name for name in names if "_" in name or name != name.lower()] == []


def test_underscores_in_names_of_components_are_understood(s2st, world, tiny, tmp_path):
    run = ["train", world.store, *tiny, "--max-update", 1, "--save-dir", tmp_path / "run"]
    assert s2st(*run, "--criterion", "label_smoothed_cross_entropy").code == 0
    assert s2st(*run, "--criterion", "label-smoothed-cross-entropy").code == 0
    s2st(*run, "--criterion", "cross_entropy").check_error(2, "--criterion was label-smoothed")


def test_the_old_spelling_of_neighbors_stays(s2st, world):
    word = (world.store / "dict.en.txt").read_text().split()[0]
    command = [word, "--checkpoint", world.forward, "--count", 3]
    assert s2st("analyze", "neighbours", *command).out == s2st("analyze", "neighbors", *command).out
    assert "neighbours" not in s2st("analyze", "--help").out


def test_the_page_has_the_whole_table():
    """The page and the errors say the same; the page has nothing else in its tables of options."""
    found = {}
    toolkit = None
    for line in PAGE.read_text().splitlines():
        if line.startswith("## Options of "):
            toolkit = line.removeprefix("## Options of ")
        elif line.startswith("## "):
            toolkit = None
        elif toolkit and line.startswith("| `"):
            command, theirs, ours = (cell.strip() for cell in line.strip("|").split(" | "))
            key = (toolkit, command.strip("`"), theirs.strip("`").lstrip("-"))
            found[key] = ours.replace("`", "")
    expected = {
        (toolkit, command, theirs): ours.replace(NOTHING, "none: ")
        for toolkit, command, theirs, ours in ROWS
        if TOOLKITS[toolkit] is not FORMER
    }
    assert found == expected
