"""`s2st preprocess`: parallel text to a store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from s2st.data.preprocess import PreprocessReport, dictionary_tokenizer, preprocess
from s2st.data.preprocess_options import PreprocessConfig
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.ranks import ranks
from s2st.text.tokenizers import TOKENIZERS, TokenizerSpec, absent_side
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import say

SPEC = CommandSpec(
    fixed=(PreprocessConfig,),
    roles=(Role("tokenizer", TOKENIZERS, "none", "how lines become tokens"),),
)
HELP = """Turn parallel text into a store of ids that `s2st train` reads.

Text is read from PREFIX.LANG files (or .gz, .xz, .bz2), one sentence a line; --tsv - reads source
TAB target lines from a pipe. With --srcdict or --tgtdict naming a checkpoint or store, its
tokenizer comes along.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prepares and prints the counts on stderr; of several ranks the first one, for all."""
    own = ranks()
    if not own.first:
        return
    config = options.config(PreprocessConfig)
    config = replace(config, workers=max(config.workers, own.local_size))
    if config.only_target:
        sides = [absent_side(), _spec(config.tgtdict, config.target_lang, options)]
    else:
        sides = [
            _spec(config.srcdict, config.source_lang, options),
            _spec(config.tgtdict, config.target_lang, options),
        ]
    report = preprocess(config, sides[0], sides[1])
    _print(report, config)


def _spec(dictionary: str | None, language: str, options: Resolved) -> TokenizerSpec:
    """A side's tokeniser: that of its dictionary's folder, or the one that was chosen."""
    spec = dictionary_tokenizer(dictionary, language) if dictionary else None
    if spec is None:
        spec = TokenizerSpec(
            options.entries["tokenizer"].base, options.configs["tokenizer"], language
        )
    return spec


def _print(report: PreprocessReport, config: PreprocessConfig) -> None:
    what = "lines" if config.only_target else "pairs"
    empty = "without words" if config.only_target else "with an empty side"
    for split in report.splits:
        say(f"{split.name}: {split.pairs:,} {what}")
        for language, side in (
            (config.source_lang, split.source),
            (config.target_lang, split.target),
        ):
            if config.only_target and side is split.source:
                continue
            share = 100 * side.unknown / max(1, side.tokens)
            say(f"  {language}: {side.tokens:,} tokens, {side.unknown:,} unknown ({share:.2f} %)")
        if split.skipped_empty or split.skipped_long:
            say(
                f"  skipped: {split.skipped_empty:,} {what} {empty}, "
                f"{split.skipped_long:,} longer than {config.max_length} tokens"
            )
    sizes = [f"{report.source_words:,} {config.source_lang} words"]
    sizes = [
        *([] if config.only_target else sizes),
        f"{report.target_words:,} {config.target_lang} words",
    ]
    say(f"vocabulary: {', '.join(sizes)}")
    say(f"wrote {report.folder}")


command = ConfiguredCommand("preprocess", SPEC, run, HELP)
