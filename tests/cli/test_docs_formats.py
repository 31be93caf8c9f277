"""docs/formats.md names the fields of every JSON object, and no others."""

import json
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
ROWS = re.findall(r"(?m)^\| (`.*?`) \| ([a-z ]+) \| (.*) \|$", PAGE)
ANALYZED = "--ref {ref} --source {src} --buckets 1 --samples 5"
CALLS = {
    "generate": "generate --checkpoint {model} {src}",
    "score --checkpoint": "score --checkpoint {model} --source {src} --target {ref}",
    "score --ref": "score {src} {ref} --ref {ref} --samples 5 --ter",
    "rescore-nbest --format words": "rescore-nbest {lists} --source {src} --checkpoint {model}",
    "compare": "compare {src} {ref} --ref {ref} --samples 5",
    "tune-length": "tune-length --checkpoint {model} --source {src} --ref {ref} --max-lenpen 1",
    "check": "check {short} {ref}",
    "analyze lengths": f"analyze lengths {{ref}} {ANALYZED}",
    "analyze rarity": f"analyze rarity {{ref}} {ANALYZED} --train-source {{src}}",
    "analyze states": "analyze states {src} --checkpoint {model} --vectors",
    "analyze gradients": "analyze gradients {model} --source {src} --target {ref} --sentences 2 "
    "--aligner {attending}",
    "analyze attention": "analyze attention --checkpoint {attending} --source {src}",
    "analyze neighbors": "analyze neighbors {word} --checkpoint {model} --count 2",
}


def documented(command):
    """The sets of fields that the page lists: one of each kind of object, with nested ones."""
    found = []
    for names, _, text in ROWS:
        if command in names.replace("`", "").split(", "):
            found.append({n for n in re.findall(r"`([^`]+)`", text) if not n.startswith("--")})
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


@pytest.mark.parametrize("command", CALLS)
def test_the_page_lists_the_fields(s2st, world, tmp_path, command, attending):
    lists, short = tmp_path / "lists", tmp_path / "short"
    short.write_text("a\n")
    options = ["--format", "moses", "--nbest", 2, "-o", lists]
    assert s2st("generate", "--checkpoint", world.forward, world.source, *options).code == 0
    words = CALLS[command].format(
        model=world.forward, src=world.source, ref=world.target, lists=lists, short=short,
        attending=attending / "checkpoint_best",
        word=(world.store / "dict.en.txt").read_text().split()[0],
    )  # fmt: skip
    form = "words" if command.startswith("rescore") else "json"
    outcome = s2st(*words.split(), "--format", form)
    kinds = documented(command)
    optional = {"alignment", "vector", "S2ST0"}
    for line in outcome.lines:
        found = fields(json.loads(line))
        assert any(found - kind <= optional and kind - found <= optional for kind in kinds), (
            sorted(found),
            [sorted(kind) for kind in kinds],
        )


def test_the_records_of_a_training_are_listed(world):
    rows = dict(re.findall(r'(?m)^\| `"event": "(.*?)"` \| (.*) \|$', PAGE))
    for line in (world.forward.parent / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        listed = {*re.findall(r"`([a-z_]+)`", rows[record.pop("event")])}
        assert {*record} == listed
