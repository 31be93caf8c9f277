"""The documents name only commands and options that exist."""

import re
import shlex
from pathlib import Path

import click
import pytest
from options_of import commands, parameters

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("docs/**/*.md", "*.md", "examples/*/README.md", "benchmarks/README.md")
    for path in ROOT.glob(pattern)
)
BY_WORDS = dict(commands())
FLAGS = {
    flag for case in parameters() for flag in (*case.parameter.opts, *case.parameter.secondary_opts)
} | {"--help", "--version"}
OTHERS = {  # options of programs that the documents also name
    "--build-arg", "--constraint", "--discount_fallback", "--editable", "--extra-index-url",
    "--index-url", "--no-build-isolation", "--no-cache-dir", "--no-deps", "--nnodes", "--node-rank",
    "--nproc-per-node", "--master-addr", "--master-port", "--max-restarts", "--rdzv-backend",
    "--rdzv-endpoint", "--rdzv-id", "--rm", "--standalone", "--logdir", "--model_prefix",
    "--alignment", "--exponential-smoothing", "--word-scores", "--output-type",
    "--gpus-per-node", "--local-addr", "--nodes", "--fairseq", "--joeynmt", "--marian", "--opennmt",
    "--score-reference", "--ctranslate2",
}  # fmt: skip
CODE = re.compile(r"(?s)```.*?\n(.*?)```|((?:^ {4,}\S[^\n]*\n)+)", re.MULTILINE)


def code_lines(text):
    """The lines of code blocks, with continued lines joined."""
    for fenced, indented in CODE.findall(text):
        joined = (fenced or indented).replace("\\\n", " ")
        yield from (" ".join(line.split()) for line in joined.splitlines())


def calls(page):
    """The arguments of each call of s2st in the page's code blocks."""
    for line in code_lines((ROOT / page).read_text()):
        found = re.match(r"(?:\$ )?(?:\w+=\S+ )*s2st ((?!checkpoint)[a-z-]+ .*)", line)
        if found:
            words = shlex.split(found[1], comments=True)
            ends = [i for i, word in enumerate(words) if re.match(r"[<>|&;]|2>", word)]
            yield words[: min(ends, default=len(words))]


ALL = [(page, tuple(call)) for page in PAGES for call in calls(page)]


def test_there_are_calls():
    assert len(ALL) > 50


@pytest.mark.parametrize(("page", "words"), ALL, ids=lambda value: " ".join(value)[:90])
def test_a_call_in_a_document_parses(page, words, monkeypatch):
    if not words or words[0] == "COMMAND" or page == "docs/other-toolkits.md":
        return
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "plugin"))
    length = 2 if words[0] in ("analyze", "import") else 1
    command = BY_WORDS[words[:length]]
    arguments = [w for w in words[length:] if w not in ("...", "[...]") and "[" not in w]
    if "--config" in arguments:  # the page made this file
        at = arguments.index("--config")
        del arguments[at : at + 2]
    if {"--help", "-h"} & {*arguments}:
        return
    context = command.make_context(words[0], arguments, resilient_parsing=False)
    assert isinstance(context, click.Context)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/other-toolkits.md"])
def test_an_option_in_a_document_exists(page):
    """Also in running text: `--json` was renamed, and a page kept it."""
    text = (ROOT / page).read_text()
    scripts = "".join(path.read_text() for path in ROOT.glob("examples/**/*.py"))
    scripts += "".join(path.read_text() for path in ROOT.glob("benchmarks/**/*.py"))
    scripts += "".join(path.read_text() for path in ROOT.glob("tests/*/run.py"))
    unknown = {
        flag
        for flag in re.findall(r"(?<![\w-])--[a-zA-Z][\w-]*", text)
        if flag not in FLAGS and flag not in OTHERS and f'"{flag}"' not in scripts
    }
    assert unknown == set()
