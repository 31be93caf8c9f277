"""`s2st analyze neighbours`: the words with the most similar embeddings."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from s2st.components import CommandSpec, Resolved
from s2st.errors import UsageError
from s2st_cli.options import ConfiguredCommand
from s2st_cli.startup import import_torch

HELP = """The words nearest to each WORD by the cosine similarity of their vectors: the embeddings
of --checkpoint, or --vectors, a text file of word2vec, GloVe or fastText (all of which is read
into memory).

Output: a line a neighbour with the word, its neighbour and the similarity, nearest first.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prints to stdout."""
    checkpoint, file, side = extra["checkpoint"], extra["vectors"], extra["side"]
    if (checkpoint is None) == (file is None):
        raise UsageError("give either --checkpoint PATH or --vectors FILE")
    if file is not None and side is not None:
        raise UsageError("--side is of a --checkpoint; a file of vectors has none")
    from s2st.analysis.neighbors import checkpoint_vectors, nearest
    from s2st.text.lines import open_output
    from s2st.text.vectors import read_vectors

    if file is not None:
        vectors, where = read_vectors(file), file
    else:
        import_torch()
        side, vectors = checkpoint_vectors(checkpoint, side)
        where = f"the {side} side of {checkpoint}"
    found = nearest(vectors, extra["words"], extra["count"], where)
    with open_output("-") as write:
        if extra["json"]:
            for word, neighbors in found.items():
                record = {"word": word, "neighbours": [asdict(item) for item in neighbors]}
                write(json.dumps(record, ensure_ascii=False))
            return
        write("word\tneighbour\tsimilarity")
        for word, neighbors in found.items():
            for item in neighbors:
                write(f"{word}\t{item.word}\t{round(item.similarity, 4) + 0.0:.4f}")


command = ConfiguredCommand(
    "neighbours",
    CommandSpec(fixed=()),
    run,
    HELP,
    extra=[
        click.Argument(["words"], metavar="WORD...", nargs=-1, required=True),
        click.Option(["--checkpoint"], metavar="PATH", help="whose embeddings"),
        click.Option(
            ["--vectors"], metavar="FILE", help="text file of word vectors; may be compressed"
        ),
        click.Option(
            ["--side"],
            type=click.Choice(["source", "target"]),
            help="whose words of the checkpoint's  [default: source; a language model's target]",
        ),
        click.Option(
            ["--count"],
            type=click.IntRange(min=1),
            default=10,
            show_default=True,
            metavar="N",
            help="neighbours a word",
        ),
        click.Option(["--json"], is_flag=True, help="JSON lines, one a word"),
    ],
)
