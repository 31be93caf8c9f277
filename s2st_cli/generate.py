"""`s2st generate`: lines of text to translations, line i for line i."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from s2st.components import Resolved
from s2st.device import ScoringDeviceConfig
from s2st.errors import UsageError
from s2st.pipelines.options import GENERATE_SPEC, ModelsConfig, TranslateConfig
from s2st_cli.options import ConfiguredCommand

if TYPE_CHECKING:
    from s2st.pipelines.translate import Translation

HELP = """Translate INPUT (a file, .gz, or standard input) line by line.

Line i of the output is line i of the input; an empty line stays empty. Several --checkpoint
options make an ensemble. --format moses writes n-best lists that `s2st rescore-nbest` reads.
Scores are natural-log probabilities.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Loads the models and translates."""
    models = options.config(ModelsConfig)
    config = options.config(TranslateConfig)
    paths = require_checkpoints(models)
    if config.format == "text" and options.configs["search"].nbest > 1:
        raise UsageError("--nbest needs --format moses or json; text is one line for each line")
    from s2st.device import setup_device
    from s2st.pipelines.translate import translate
    from s2st.scoring.build import load_scorer
    from s2st.text.chunks import read_chunks
    from s2st.text.lines import open_output

    device_config = options.config(ScoringDeviceConfig)
    device = setup_device(device_config)
    search = options.entries["search"].build(options.configs["search"])
    chunks = read_chunks(extra["input"], config.buffer_size, config.encoding_errors)
    if extra["input"] != "-":
        # an input that cannot be read is said before models are loaded and --output-file emptied
        chunks = chain([next(chunks, [])], chunks)
    scorer = load_scorer(
        paths, device, device_config.precision, models.ensemble_weight, models.ensemble_mode
    )
    # Moses' tools want tokens, but pieces mean nothing to them
    words = config.format == "moses" and not scorer.target.tokenizer.subword
    detokenize = config.detokenize and not words
    make_lines = _FORMATS[config.format]
    with open_output(extra["output_file"]) as write:
        for translation in translate(scorer, search, chunks, config.batch_size, detokenize):
            for line in make_lines(translation):
                write(line)
            if extra["output_file"] == "-":
                sys.stdout.flush()


def require_checkpoints(models: ModelsConfig) -> list[str]:
    """The checkpoints named; raises UsageError if there is none."""
    paths = models.paths()
    if not paths:
        raise UsageError("no model: --checkpoint FOLDER is needed")
    return paths


def _text(translation: "Translation") -> Iterator[str]:
    yield from translation.texts


def _moses(translation: "Translation") -> Iterator[str]:
    from s2st.text.nbest import NBestEntry, format_entry

    for hypothesis, text in zip(translation.hypotheses, translation.texts, strict=True):
        features = (("LogProb", (hypothesis.log_prob,)),)
        yield format_entry(NBestEntry(translation.line, text, features, hypothesis.score, (), 0))


def _json(translation: "Translation") -> Iterator[str]:
    hypotheses = [
        {
            "text": text,
            "score": hypothesis.score,
            "log_prob": hypothesis.log_prob,
            "token_log_probs": list(hypothesis.token_log_probs),
            "finished": hypothesis.finished,
        }
        for hypothesis, text in zip(translation.hypotheses, translation.texts, strict=True)
    ]
    record = {"line": translation.line, "source": translation.source, "hypotheses": hypotheses}
    yield json.dumps(record, ensure_ascii=False)


_FORMATS: dict[str, Callable[["Translation"], Iterator[str]]] = {
    "text": _text,
    "moses": _moses,
    "json": _json,
}

command = ConfiguredCommand(
    "generate",
    GENERATE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["input"], default="-"),
        click.Option(["-o", "--output-file"], default="-", metavar="FILE", help="where to write"),
    ],
)
