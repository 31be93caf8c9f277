"""`s2st train-ngram`: text to an n-gram language model."""

import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import click

from s2st.components import CommandSpec, Resolved, Role
from s2st.errors import UsageError
from s2st.ngram.config import NGramConfig
from s2st.snapshots import is_folder
from s2st.text.lines import check_outputs, read_lines
from s2st.text.tokenizers import TOKENIZERS, TokenizerSpec
from s2st.text.vocabulary import Vocabulary
from s2st_cli.options import ConfiguredCommand

SPEC = CommandSpec(
    fixed=(NGramConfig,),
    roles=(Role("tokenizer", TOKENIZERS, "none", "how lines become tokens"),),
)
HELP = """Train an n-gram language model on TEXT files (compressed ones too; - is a pipe), one
sentence a line: interpolated modified Kneser-Ney, as KenLM's lmplz. It is written as an ARPA file,
which `score`, `generate` and `rescore-nbest` take for a checkpoint.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Trains, and says on stderr how many n-grams there are."""
    from s2st.ngram.train import train_ngrams

    config = options.config(NGramConfig)
    texts: tuple[str, ...] = extra["text"]
    check_outputs([extra["output"]], texts)
    entry, record = options.entries["tokenizer"], options.configs["tokenizer"]
    spec = TokenizerSpec(entry.base, record, config.lang)
    vocabulary = None
    if config.dict is not None:
        if config.nwords is not None:
            raise UsageError("--dict and --nwords do not go together")
        spec, vocabulary = _dictionary(config.dict, spec)
    lines = chain.from_iterable(read_lines(text, config.encoding_errors) for text in texts)
    output = Path(extra["output"])
    report = train_ngrams(lines, output, config, spec, vocabulary)
    print(f"s2st: {report.tokens:,} tokens, <s> and </s> counted", file=sys.stderr)
    for order, size in enumerate(report.ngrams, start=1):
        print(f"s2st: {size:,} {order}-grams", file=sys.stderr)
    print(f"s2st: wrote {output}", file=sys.stderr)


def _dictionary(path: str, spec: TokenizerSpec) -> tuple[TokenizerSpec, Vocabulary]:
    """The words that --dict names, and the tokeniser that goes with them."""
    from s2st.data.prepare import read_dictionary

    if is_folder(path) and not spec.language:
        raise UsageError(f"--dict {path}: --lang must say which of its languages")
    own, vocabulary = read_dictionary(path, spec.language)
    return own or spec, vocabulary


command = ConfiguredCommand(
    "train-ngram",
    SPEC,
    run,
    HELP,
    [
        click.Argument(["text"], nargs=-1, required=True),
        click.Option(
            ["-o", "--output"], required=True, metavar="FILE", help="the .arpa or .arpa.gz to write"
        ),
    ],
)
