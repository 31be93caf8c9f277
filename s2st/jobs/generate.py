"""The job of `s2st generate`: translate a file, a stream or lines in memory.

`generate` reads and writes files; `translate_lines` does the same for lines in memory. A line
passes through `read_chunks`, `translation_tasks.plan` (tokens, ids, batches), the search over a
scorer, and `translation_formats` to the output. The work queue keeps finished tasks.

The module imports torch late, so that wrong options are reported at once.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from s2st.errors import UsageError
from s2st.jobs.load_models import load_chosen_scorer
from s2st.jobs.options import ModelsConfig, ShortlistConfig, TranslateConfig
from s2st.jobs.progress import Progress
from s2st.jobs.scoring_job_files import (
    JobFiles,
    check_vectors,
    count_lines,
    models_identity,
    open_queue,
    refuse_shared_stdin,
    require_checkpoints,
    vector_inputs,
)
from s2st.jobs.shortlist import with_shortlist
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch
from s2st.text.line_files import open_output
from s2st.text.overwrite_checks import check_destinations

if TYPE_CHECKING:
    import torch

    from s2st.jobs.translation_demands import LineSource
    from s2st.jobs.translation_formats import MakeRecord
    from s2st.jobs.translation_tasks import Translation
    from s2st.jobs.work_queue import Task
    from s2st.scoring.base import Scorer
    from s2st.search.base import Search


def generate(options: Resolved, source: str, output: str, progress: Progress) -> None:
    """Translate a file or stream line by line.

    Args:
        options: resolved options of GENERATE_SPEC.
        source: path of the input, "-" for standard input.
        output: path of the output, "-" for standard output.
        progress: receives the progress of all ranks if there are several.

    Raises:
        UsageError: options, models, input and output are incompatible.
        S2STError: reading, loading or writing fails.
    """
    config = options.config(TranslateConfig)
    require_checkpoints(options.config(ModelsConfig))
    inputs = {"INPUT": source}
    if config.source_vectors is not None:
        if source != "-":
            raise UsageError(f"give INPUT ({source}) or --source-vectors, not both")
        inputs = vector_inputs(config.source_vectors)
    if config.unk_dictionary is not None:
        inputs["--unk-dictionary"] = config.unk_dictionary
    for name in ("prefix", "constraints"):
        if getattr(config, name) is not None:
            inputs[f"--{name}"] = getattr(config, name)
    shortlist = options.config(ShortlistConfig)
    if shortlist.shortlist is not None:
        inputs["--shortlist"] = shortlist.shortlist
    files = JobFiles(inputs, output)
    _check(options, files)
    ranks = files.join_ranks()
    import_torch()
    from s2st.jobs.attention_alignments import open_alignments
    from s2st.jobs.translation_formats import FORMATS
    from s2st.jobs.work_queue import in_order
    from s2st.process.device import setup_device

    dictionary = _dictionary(config)
    device = setup_device(options.config(ScoringDeviceConfig))
    search = options.entries["search"].build(options.configs["search"])
    chunks = _chunks(config, source)
    identity = _identity(options, device) if files.lasting else {}
    count = partial(_count, config, source)
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(
            open_queue(files, ranks, options, identity, config.resume, progress, count)
        )
        scorer = load_chosen_scorer(options, device)
        check_vectors(config.source_vectors, scorer)
        demands = config.prefix, config.constraints
        tasks = _tasks(options, scorer, search, chunks, dictionary, demands)
        records = in_order(tasks, partial(_record, FORMATS[config.format]), queue)
        first = next(records, None)  # an error in the first line must leave the output unchanged
        if not ranks.first:
            return
        align = stack.enter_context(open_alignments(config.alignments))
        write = stack.enter_context(open_output(output))
        for record, alignment in chain([] if first is None else [first], records):
            align(alignment)  # first: a stopped job has an alignment for every line of the output
            write(record)
            write.flush()


def translate_lines(
    options: Resolved,
    lines: Iterable[str],
    scorer: "Scorer",
    prefix: Iterable[str] | None = None,
    constraints: Iterable[str] | None = None,
    search: "Search | None" = None,
) -> "Iterator[Translation]":
    """Yield the translation of each line, in order; the results are those of `generate`.

    Args:
        options: resolved options of TRANSLATE_SPEC.
        lines: the input.
        scorer: the model or ensemble.
        prefix: text with which the translation of each line begins, "" for any; None for none.
        constraints: phrases that must occur in the translation of each line, separated by tabs.
        search: a search to use instead of the one that the options name.

    Raises:
        UsageError: options and model are incompatible.
        S2STError: translating fails.
    """
    from s2st.jobs.work_queue import WorkQueue, in_order

    config = options.config(TranslateConfig)
    _check_dictionary(config)
    dictionary = _dictionary(config)
    if search is None:
        search = options.entries["search"].build(options.configs["search"])
    iterator = iter(lines)
    chunks = iter(lambda: list(islice(iterator, config.buffer_size)), [])
    tasks = _tasks(options, scorer, search, chunks, dictionary, (prefix, constraints))
    return in_order(tasks, lambda translation: translation, WorkQueue())


def _tasks(
    options: Resolved,
    scorer: "Scorer",
    search: "Search",
    chunks: Iterable[Sequence[str]],
    dictionary: Mapping[str, str] | None,
    demands: "tuple[LineSource, LineSource]",
) -> "Iterator[list[Task[Translation]]]":
    """Return the tasks of the job, after checking that the model can do what the options need.

    Args:
        options: options of the job.
        scorer: the model or ensemble.
        search: the search strategy.
        chunks: the input.
        dictionary: translations for unknown words.
        demands: prefixes and phrases of the lines.
    """
    from s2st.jobs.attention_alignments import require_attention
    from s2st.jobs.translation_demands import Demands
    from s2st.jobs.translation_tasks import plan

    config = options.config(TranslateConfig)
    if config.replace_unk and scorer.source.tokenizer.vector_size:
        raise UsageError("--replace-unk copies source words; this model reads vectors")
    if config.alignments or config.replace_unk:
        require_attention(scorer, "--alignments" if config.alignments else "--replace-unk", search)
    search = with_shortlist(search, scorer, options.config(ShortlistConfig))
    detokenize = config.detokenize and not _keeps_tokens(config, scorer)
    wanted = Demands(scorer, *demands, config.encoding_errors)
    return plan(scorer, search, chunks, config.batch_size, detokenize, dictionary, wanted)


def _dictionary(config: TranslateConfig) -> Mapping[str, str] | None:
    """Return translations for unknown words; None if unknown words are kept."""
    from s2st.jobs.attention_alignments import read_dictionary

    return read_dictionary(config.unk_dictionary) if config.replace_unk else None


def _check_dictionary(config: TranslateConfig) -> None:
    if config.unk_dictionary is not None and not config.replace_unk:
        raise UsageError("--unk-dictionary needs --replace-unk")


def _check(options: Resolved, files: JobFiles) -> None:
    config = options.config(TranslateConfig)
    if config.format == "text" and options.configs["search"].nbest > 1:
        raise UsageError(
            "--nbest needs --format moses or json: --format text writes one line per input line"
        )
    if config.alignments == "-":
        raise UsageError("--alignments needs a file: translations go to standard output")
    _check_dictionary(config)
    refuse_shared_stdin(*files.inputs.values())
    outputs = [files.output, *([] if config.alignments is None else [config.alignments])]
    inputs = [*files.inputs.values(), *options.config(ModelsConfig).paths()]
    check_destinations(outputs, [], inputs)
    if config.resume:
        files.check_resume()


def _chunks(config: TranslateConfig, source: str) -> Iterable[Sequence[str]]:
    """Return the input in chunks; read a file's first chunk now, before models are loaded."""
    if config.source_vectors is not None:
        from s2st.text.vector_files import read_vector_chunks

        vectors = read_vector_chunks(config.source_vectors, config.buffer_size)
        return chain([next(vectors, [])], vectors)
    from s2st.text.streaming_chunks import read_chunks

    chunks = read_chunks(source, config.buffer_size, config.encoding_errors)
    return chunks if source == "-" else chain([next(chunks, [])], chunks)


def _count(config: TranslateConfig, source: str) -> int:
    if config.source_vectors is not None:
        from s2st.text.vector_files import open_vectors

        return len(open_vectors(config.source_vectors))
    return count_lines(source, config.encoding_errors)


def _keeps_tokens(config: TranslateConfig, scorer: "Scorer") -> bool:
    """Whether n-best lists keep tokens: Moses' tools expect words, but not subword pieces."""
    return config.format == "moses" and not scorer.target.tokenizer.subword


def _identity(options: Resolved, device: "torch.device") -> Mapping[str, Any]:
    """Return everything that the translations depend on besides the content of the input."""
    config = asdict(replace(options.config(TranslateConfig), resume=False))
    config |= asdict(options.configs["search"])
    if options.config(ShortlistConfig).shortlist is not None:
        config |= asdict(options.config(ShortlistConfig))
    flags = {f"--{name.replace('_', '-')}": value for name, value in config.items()}
    flags.pop("--alignments")  # the queue keeps alignments with the translations
    return {**models_identity(options, device), **flags, "--search": options.entries["search"].name}


def _record(make_record: "MakeRecord", translation: "Translation") -> tuple[str, str]:
    """Return the record and the alignment of an input line, as they are written."""
    from s2st.jobs.translation_formats import alignment

    return make_record(translation), alignment(translation)
