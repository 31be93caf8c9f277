"""docs/formats.md names the fields of every JSON object, and no others."""

import json
import re
from pathlib import Path

import pytest
from options_of import parameters

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
ROWS = re.findall(r"(?m)^\| (`.*?`) \| ([a-z ,]+) \| (.*) \|$", PAGE)
OF_ANOTHER = "as a comparison of `score --ref`"
ANALYZED = "--ref {ref} --source {src} --buckets 1 --samples 100"
CALLS = {
    "generate": (
        "generate --checkpoint {model} {src}",
        "generate --checkpoint {attending} {src}",
    ),
    "score --checkpoint": ("score --checkpoint {model} --source {src} --target {ref}",),
    "score --next": ("score --checkpoint {model} --source {src} --next {target_word}",),
    "score --ref": ("score {src} {ref} --ref {ref} --samples 100 --ter",),
    "rescore-nbest --format words": ("rescore-nbest {lists} --source {src} --checkpoint {model}",),
    "compare": ("compare a={src} b={ref} --ref {ref} --samples 100",),
    "tune-length": ("tune-length --checkpoint {model} --source {src} --ref {ref} --max-lenpen 1",),
    "check": ("check {short} {ref}",),
    "analyze lengths": (f"analyze lengths {{ref}} {ANALYZED}",),
    "analyze rarity": (f"analyze rarity {{ref}} {ANALYZED} --train-source {{src}}",),
    "analyze states": (
        "analyze states {phrases} --checkpoint {model}",
        "analyze states {phrases} --checkpoint {model} --vectors",
    ),
    "analyze vectors": ("analyze vectors {src} --checkpoint {model}",),
    "analyze gradients": (
        "analyze gradients {model} --source {src} --target {ref} --sentences 2 "
        "--aligner {attending}",
    ),
    "analyze attention": ("analyze attention --checkpoint {attending} --source {src}",),
    "analyze neighbors": ("analyze neighbors {word} --checkpoint {model} --count 2",),
}
OPTIONAL = {"vector", "S2ST0", "tokenized BLEU", "TER", "ROUGE-1", "ROUGE-2", "ROUGE-L"}
BREAKS = {"check"}  # a finding ends it with another exit code


def documented(command):
    """The sets of fields that the page lists: one of each kind of object, with nested ones."""
    found = []
    for names, _, text in ROWS:
        if command not in names.replace("`", "").split(", "):
            continue
        if text == OF_ANOTHER:
            found.append(documented("score --ref")[1])
            continue
        own = {n for n in re.findall(r"`([^`]+)`", text) if not n.startswith("--")}
        own -= {"better", "worse"} if "`change`" in text else set()  # values
        found.append(own | found[0] if text.startswith("the same; ") else own)
    return found


def fields(value):
    """All names of fields in an object and the objects within it."""
    if isinstance(value, list):
        return set().union(*map(fields, value))
    if isinstance(value, dict):
        return {*value, *(name for part in value.values() for name in fields(part))}
    return set()


def test_every_command_with_json_has_a_row():
    names = {name for row in ROWS for name in row[0].replace("`", "").split(", ")}
    assert names == {*CALLS}
    commands = {
        " ".join(one.words[:2] if one.words[0] == "analyze" else one.words[:1])
        for one in parameters()
        if one.parameter.name == "format" and "json" in one.parameter.type.choices
    }
    missing = {name for name in commands if not any(row.startswith(name) for row in names)}
    assert missing == set()


@pytest.mark.parametrize("command", CALLS)
def test_the_page_lists_the_fields(s2st, world, tmp_path, command, attending):
    lists, short, phrases = (tmp_path / name for name in ("lists", "short", "phrases"))
    short.write_text("a\n")
    phrases.write_text("one\tthe cat sleeps .\none\tsleeps the cat .\ntwo\tthe dog runs .\n")
    options = ["--format", "moses", "--nbest", 2, "-o", lists]
    assert s2st("generate", "--checkpoint", world.forward, world.source, *options).code == 0
    form = "words" if command.startswith("rescore") else "json"
    kinds, met = documented(command), set()
    for call in CALLS[command]:
        words = call.format(
            model=world.forward, src=world.source, ref=world.target, lists=lists, short=short,
            attending=attending / "checkpoint_best", phrases=phrases,
            word=(world.store / "dict.en.txt").read_text().split()[0],
            target_word=(world.store / "dict.fr.txt").read_text().split()[0],
        )  # fmt: skip
        outcome = s2st(*words.split(), "--format", form)
        assert outcome.code == 0 or command in BREAKS, outcome.err
        assert outcome.lines
        for line in outcome.lines:
            found = fields(json.loads(line))
            fitting = [
                place
                for place, kind in enumerate(kinds)
                if found - kind <= OPTIONAL and kind - found <= OPTIONAL
            ]
            assert fitting, (sorted(found), [sorted(kind) for kind in kinds])
            met.update(fitting)
    assert met == set(range(len(kinds))), "the page has an object that the command did not write"


def test_the_records_of_a_training_are_listed(world):
    rows = dict(re.findall(r'(?m)^\| `"event": "(.*?)"` \| (.*) \|$', PAGE))
    for line in (world.forward.parent / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        listed = {*re.findall(r"`([a-z_]+)`", rows[record.pop("event")])}
        assert listed - {*record} <= {"corpora"}
        assert {*record} <= listed
