"""`s2st generate`: lines of text to translations, line i for line i."""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from s2st.components import Resolved
from s2st.device import ScoringDeviceConfig
from s2st.errors import UsageError
from s2st.pipelines.options import GENERATE_SPEC, ModelsConfig, TranslateConfig
from s2st.ranks import Ranks, RanksConfig
from s2st_cli.dealing import join_ranks, models_identity, open_parts
from s2st_cli.options import ConfiguredCommand
from s2st_cli.startup import import_torch

if TYPE_CHECKING:
    import torch

    from s2st.pipelines.dealt import Parts
    from s2st.pipelines.translate import Translation
    from s2st.scoring.base import Scorer
    from s2st.search.base import Hypothesis

log = logging.getLogger("s2st")
HELP = """Translate INPUT (a file, .gz, or standard input) line by line.

Line i of the output is line i of the input; an empty line stays empty. Several --checkpoint
options make an ensemble. A language model continues each line, also an empty one. --format moses
writes n-best lists that `s2st rescore-nbest` reads. Scores are natural-log probabilities.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Loads the models and translates."""
    config = options.config(TranslateConfig)
    require_checkpoints(options.config(ModelsConfig))
    _check(options, extra)
    own = join_ranks([extra["input"]], extra["output_file"])
    import_torch()
    from s2st.device import setup_device
    from s2st.pipelines.alignments import kept_bytes, open_alignments, read_dictionary
    from s2st.pipelines.dealt import deal
    from s2st.pipelines.translate import plan, translate
    from s2st.pipelines.written import Written, go_on, read_written
    from s2st.text.chunks import read_chunks
    from s2st.text.lines import open_output

    output = extra["output_file"]
    written = Written(output, 0, 0, ())
    if config.resume and own.size == 1:  # several have their finished pieces
        written = read_written(output, config.format == "moses", config.buffer_size)
        log.info("%s: %d input lines are answered there", output, written.count)
    kept = kept_bytes(config.alignments, written.count) if config.alignments else 0
    dictionary = read_dictionary(config.unk_dictionary) if config.replace_unk else None
    device = setup_device(options.config(ScoringDeviceConfig))
    search = options.entries["search"].build(options.configs["search"])
    chunks = read_chunks(extra["input"], config.buffer_size, config.encoding_errors)
    if extra["input"] != "-":
        # an input that cannot be read is said before models are loaded and --output-file emptied
        chunks = chain([next(chunks, [])], chunks)
    scorer = _load_scorer(options, device)
    # Moses' tools want tokens, but pieces mean nothing to them
    words = config.format == "moses" and not scorer.target.tokenizer.subword
    detokenize = config.detokenize and not words
    make_record = _FORMATS[config.format]
    encode = partial(_with_alignment, make_record)
    with contextlib.ExitStack() as stack:
        if own.size > 1:
            parts = stack.enter_context(_open_parts(own, options, extra, device))
            pieces = plan(scorer, search, chunks, config.batch_size, detokenize, 0, dictionary)
            seconds = options.config(RanksConfig).rank_timeout
            records: Iterator[Any] = deal(pieces, encode, parts, own, seconds)
        else:
            start = max(0, written.count - 1)
            made = translate(
                scorer, search, chunks, config.batch_size, detokenize, start, dictionary
            )
            records = map(encode, go_on(made, written, make_record))
        first = next(records, None)  # what is wrong with the old output is said before it changes
        if not own.first:
            return
        align = stack.enter_context(open_alignments(config.alignments, kept))
        write = stack.enter_context(open_output(output, written.size))
        for record, alignment in chain([] if first is None else [first], records):
            align(alignment)  # first, so that every line of the output has its own
            write(record)
            write.flush()


def _load_scorer(options: Resolved, device: "torch.device") -> "Scorer":
    """The models, with attention where it is needed."""
    from s2st.pipelines.alignments import require_attention
    from s2st.scoring.build import load_scorer

    models, config = options.config(ModelsConfig), options.config(TranslateConfig)
    precision = options.config(ScoringDeviceConfig).precision
    weights, mode = models.ensemble_weight, models.ensemble_mode
    scorer = load_scorer(require_checkpoints(models), device, precision, weights, mode)
    if config.alignments or config.replace_unk:
        search = options.entries["search"].build(options.configs["search"])
        require_attention(scorer, "--alignments" if config.alignments else "--replace-unk", search)
    return scorer


def _open_parts(
    own: Ranks, options: Resolved, extra: Mapping[str, Any], device: "torch.device"
) -> contextlib.AbstractContextManager["Parts"]:
    """The folder of the job that this rank has a share in."""
    from s2st.text.lines import read_lines

    config = options.config(TranslateConfig)
    inputs = {"INPUT": extra["input"]}
    if config.unk_dictionary is not None:
        inputs["--unk-dictionary"] = config.unk_dictionary
    total = sum(1 for _ in read_lines(extra["input"], config.encoding_errors))
    return open_parts(own, extra["output_file"], _identity(options, device), inputs, total)


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
    if config.alignments == "-":
        raise UsageError("--alignments needs a file: standard output has the translations")
    if config.unk_dictionary is not None and not config.replace_unk:
        raise UsageError("--unk-dictionary needs --replace-unk")
    check_outputs([output, config.alignments], [extra["input"], config.unk_dictionary])
    if config.resume:
        for name, path in (("--output-file", output), ("--alignments", config.alignments)):
            if path is None:
                continue
            if not is_resumable(path):
                raise UsageError(f"--resume needs an {name} that is a file")
            if path.endswith(".gz"):
                raise UsageError(f"{path}: --resume cannot go on within a .gz file")
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


def _with_alignment(
    make_record: Callable[["Translation"], str], translation: "Translation"
) -> tuple[str, str]:
    """The record of a line, and its alignment."""
    return make_record(translation), _alignment(translation.hypotheses[0])


def _alignment(hypothesis: "Hypothesis") -> str:
    """By attention, in Pharaoh's format; "" where there is none."""
    from s2st.pipelines.alignments import format_links, links_of

    return "" if hypothesis.attention is None else format_links(links_of(hypothesis.attention))


def _text(translation: "Translation") -> str:
    return translation.texts[0]


def _moses(translation: "Translation") -> str:
    from s2st.text.nbest import NBestEntry, format_entry

    lines = []
    for hypothesis, text in zip(translation.hypotheses, translation.texts, strict=True):
        features = (("LogProb", (hypothesis.log_prob,)),)
        extra = () if hypothesis.attention is None else (_alignment(hypothesis),)
        entry = NBestEntry(translation.line, text, features, hypothesis.score, extra, 0)
        lines.append(format_entry(entry))
    return "\n".join(lines)


def _json(translation: "Translation") -> str:
    hypotheses: list[dict[str, Any]] = [
        {
            "text": text,
            "score": hypothesis.score,
            "log_prob": hypothesis.log_prob,
            "token_log_probs": list(hypothesis.token_log_probs),
            "finished": hypothesis.finished,
        }
        for hypothesis, text in zip(translation.hypotheses, translation.texts, strict=True)
    ]
    record: dict[str, Any] = {"line": translation.line, "source": translation.source}
    for found, hypothesis, words in zip(
        hypotheses, translation.hypotheses, translation.words, strict=True
    ):
        if hypothesis.attention is not None:
            record["source_tokens"] = translation.source_words
            found["tokens"] = words
            found["attention"] = [
                [round(weight, 4) for weight in row] for row in hypothesis.attention.tolist()
            ]
    record["hypotheses"] = hypotheses
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
