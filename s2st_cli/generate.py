"""`s2st generate`: lines of text to translations, line i for line i."""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from s2st.components import Resolved
from s2st.device import ScoringDeviceConfig
from s2st.errors import UsageError
from s2st.pipelines.options import GENERATE_SPEC, ModelsConfig, TranslateConfig
from s2st.ranks import RanksConfig
from s2st_cli.dealing import join_ranks, models_identity, open_parts
from s2st_cli.options import ConfiguredCommand
from s2st_cli.startup import import_torch

if TYPE_CHECKING:
    import torch

    from s2st.pipelines.translate import Translation

log = logging.getLogger("s2st")
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
    _check(options, extra)
    own = join_ranks([extra["input"]], extra["output_file"])
    import_torch()
    from s2st.device import setup_device
    from s2st.pipelines.dealt import deal
    from s2st.pipelines.translate import plan, translate
    from s2st.pipelines.written import Written, go_on, read_written
    from s2st.scoring.build import load_scorer
    from s2st.text.chunks import read_chunks
    from s2st.text.lines import open_output, read_lines

    output = extra["output_file"]
    written = Written(output, 0, 0, ())
    if config.resume and own.size == 1:  # several have their finished pieces
        written = read_written(output, config.format == "moses", config.buffer_size)
        log.info("%s: %d input lines are answered there", output, written.count)
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
    make_record = _FORMATS[config.format]
    with contextlib.ExitStack() as stack:
        if own.size > 1:
            inputs = {"INPUT": extra["input"]}
            total = sum(1 for _ in read_lines(extra["input"], config.encoding_errors))
            identity = _identity(options, device)
            parts = stack.enter_context(open_parts(own, output, identity, inputs, total))
            pieces = plan(scorer, search, chunks, config.batch_size, detokenize)
            seconds = options.config(RanksConfig).rank_timeout
            records: Iterator[str] = deal(pieces, make_record, parts, own, seconds)
        else:
            start = max(0, written.count - 1)
            made = translate(scorer, search, chunks, config.batch_size, detokenize, start)
            records = map(make_record, go_on(made, written, make_record))
        first = next(records, None)  # what is wrong with the old output is said before it changes
        if not own.first:
            return
        with open_output(output, written.size) as write:
            for record in chain([] if first is None else [first], records):
                write(record)
                write.flush()


def _identity(options: Resolved, device: "torch.device") -> dict[str, Any]:
    """What the translations of an input depend on."""
    config = asdict(replace(options.config(TranslateConfig), resume=False))
    config |= asdict(options.configs["search"])
    flags = {f"--{name.replace('_', '-')}": value for name, value in config.items()}
    return {**models_identity(options, device), **flags, "--search": options.entries["search"].name}


def _check(options: Resolved, extra: Mapping[str, Any]) -> None:
    from s2st.text.lines import check_outputs

    config = options.config(TranslateConfig)
    output = extra["output_file"]
    if config.format == "text" and options.configs["search"].nbest > 1:
        raise UsageError("--nbest needs --format moses or json; text is one line for each line")
    check_outputs([output], [extra["input"]])
    if config.resume:
        if not is_resumable(output):
            raise UsageError("--resume needs an --output-file that is a file")
        if output.endswith(".gz"):
            raise UsageError(f"{output}: --resume cannot go on within a .gz file")
        if extra["input"] == "-":
            raise UsageError("--resume needs an INPUT that can be read again from its start")


def is_resumable(output: str) -> bool:
    """Whether an output is, or will be, a regular file, which a later run can go on with."""
    return output != "-" and (os.path.isfile(output) or not os.path.exists(output))


def require_checkpoints(models: ModelsConfig) -> list[str]:
    """The checkpoints named; raises UsageError if there is none."""
    paths = models.paths()
    if not paths:
        raise UsageError("no model: --checkpoint FOLDER is needed")
    return paths


def _text(translation: "Translation") -> str:
    return translation.texts[0]


def _moses(translation: "Translation") -> str:
    from s2st.text.nbest import NBestEntry, format_entry

    lines = []
    for hypothesis, text in zip(translation.hypotheses, translation.texts, strict=True):
        features = (("LogProb", (hypothesis.log_prob,)),)
        entry = NBestEntry(translation.line, text, features, hypothesis.score, (), 0)
        lines.append(format_entry(entry))
    return "\n".join(lines)


def _json(translation: "Translation") -> str:
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
    return json.dumps(record, ensure_ascii=False)


# an input line's output, without the last newline
_FORMATS: dict[str, Callable[["Translation"], str]] = {
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
