"""Evaluation metrics of translations: BLEU, chrF, TER.

`s2st score` and `s2st compare` read the files and print the results. sacreBLEU does all counting
(Post, 2018, "A Call for Clarity in Reporting BLEU Scores"), so the scores can be compared with
published ones. Tokenized BLEU, the score of the 2014 LSTM paper, is that of Moses' multi-bleu.perl:
tokens are split at white space, without smoothing, cased or (as with its `-lc`) lowercased.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.errors import DataError, UsageError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric
    from sacrebleu.metrics.bleu import BLEU, BLEUScore
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

_logger = logging.getLogger("s2st")

# White space for Python's str.split() but not for perl's split (on bytes). Each character is mapped
# to its own lone surrogate, which no decoded text contains, so tokens stay whole and distinct.
_NOT_SPACE_IN_PERL = (
    "\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
_KEEP_INSIDE_TOKEN = {ord(char): 0xD800 + i for i, char in enumerate(_NOT_SPACE_IN_PERL)}

# multi-bleu.perl lowercases bytes: only A to Z
_LOWERCASE_AS_PERL = {ord(char): char.lower() for char in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_TEXT_DECIMALS = 2
# sacreBLEU warns of tokenized text from the same number on
_TOKENIZED_LINES_TO_WARN = 100


@dataclass(frozen=True)
class MetricScore:
    """The score of one system under one metric.

    Attributes:
        name: sacreBLEU's name of the metric ("BLEU", "chrF2", "TER"), or "tokenized BLEU".
        score: in percent, not rounded; higher is better, except for TER.
        text: one line in the format of `sacrebleu -f text -w 2` or multi-bleu.perl.
        signature: sacreBLEU's signature; scores are comparable if their signatures are equal.
        how: program and options that compute this score, in words.
    """

    name: str
    score: float
    text: str
    signature: str
    how: str

    def line(self) -> str:
        """Return metric, program, score and its parts as one line."""
        shown = self.name.removeprefix("tokenized ")
        return f"{shown} ({self.how}) = {self.text.split(' = ', 1)[1]}"


@dataclass(frozen=True)
class SystemScores:
    """All scores of one system; `ter` is None and `rouge` empty if they were not requested."""

    name: str
    bleu: MetricScore
    tokenized_bleu: MetricScore
    chrf: MetricScore
    ter: MetricScore | None
    rouge: tuple[MetricScore, ...] = ()

    def metrics(self) -> list[MetricScore]:
        """Return the scores in the order in which they are shown."""
        scores = (self.bleu, self.tokenized_bleu, self.chrf, self.ter, *self.rouge)
        return [score for score in scores if score is not None]


def evaluate_system(
    name: str,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    with_ter: bool = False,
) -> SystemScores:
    """Score one system under every metric.

    Args:
        name: name of the system in the result.
        hypotheses: the system's lines.
        references: one sequence of lines per reference set, each as long as `hypotheses`.
        tokenize: sacreBLEU's tokenizer for BLEU ("13a", "none", "intl", "char", ...).
        lowercase: lowercase both sides for both BLEU scores. The other metrics keep the defaults
            of their programs: chrF is cased, TER is not.
        with_ter: also compute TER, which takes much longer than the rest.

    Raises:
        DataError: if the line counts differ, or there is no line or no reference set.
        UsageError: if the tokenizer is unknown or cannot be loaded.
    """
    check_lines(name, hypotheses, references)
    if tokenize != "none":
        _warn_if_tokenized(name, hypotheses)
    bleu = bleu_metric(tokenize, lowercase)
    return SystemScores(
        name=name,
        bleu=_corpus_score(bleu, hypotheses, references),
        tokenized_bleu=tokenized_bleu(hypotheses, references, lowercase),
        chrf=_corpus_score(chrf_metric(), hypotheses, references),
        ter=_corpus_score(ter_metric(), hypotheses, references) if with_ter else None,
    )


def tokenized_bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], lowercase: bool = False
) -> MetricScore:
    """Score lines as multi-bleu.perl does: without tokenization and smoothing.

    Tokens are split at ASCII white space only, so U+00A0 or U+2028 stays inside its token. Of
    several references, the brevity penalty uses the closest length, the shorter on a tie. The score
    is 0 if one of the four n-gram precisions is 0. It is also 0 where multi-bleu.perl divides by
    zero: all hypotheses are empty, but not the references.

    Args:
        hypotheses: a system's tokenized lines.
        references: one sequence of tokenized lines per reference set.
        lowercase: lowercase the letters A to Z of both sides, as `multi-bleu.perl -lc` does.

    Raises:
        DataError: if the line counts differ, or there is no line or no reference set.
    """
    from sacrebleu.metrics.bleu import BLEU

    check_lines("the hypotheses", hypotheses, references)
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    change = _KEEP_INSIDE_TOKEN | (_LOWERCASE_AS_PERL if lowercase else {})
    result = metric.corpus_score(
        [line.translate(change) for line in hypotheses],
        [[line.translate(change) for line in reference] for reference in references],
    )
    score, text = _multi_bleu_line(result)
    signature = metric.get_signature().format()
    how = "multi-bleu.perl, tokens split at white space, cased"
    if lowercase:
        signature = signature.replace("case:mixed", "case:lc")
        how = "multi-bleu.perl -lc, tokens split at white space, A to Z lowercased"
    return MetricScore("tokenized BLEU", score, text, signature, how)


def check_lines(name: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise DataError unless there are references, and each has as many lines as the system."""
    if not references:
        raise DataError("no reference: give at least one")
    if not hypotheses:
        raise DataError(f"{name}: no lines to score")
    for number, reference in enumerate(references, start=1):
        if len(reference) != len(hypotheses):
            raise DataError(
                f"{name} has {len(hypotheses)} lines but reference {number} has {len(reference)}"
            )


def _warn_if_tokenized(name: str, lines: Sequence[str]) -> None:
    count = sum(line.rstrip().endswith(" .") for line in lines)
    if count >= _TOKENIZED_LINES_TO_WARN:
        _logger.warning(
            "%s: %d lines end in a tokenized period; sacreBLEU tokenizes the lines itself, and its "
            "BLEU of tokenized lines cannot be compared with published scores",
            name,
            count,
        )


def bleu_metric(tokenize: str, lowercase: bool) -> "BLEU":
    """Return sacreBLEU's BLEU.

    Raises:
        UsageError: the tokenizer is unknown or cannot be loaded.
    """
    from sacrebleu.metrics.bleu import BLEU

    if tokenize not in BLEU.TOKENIZERS:
        raise UsageError(
            f"unknown sacreBLEU tokenizer {tokenize!r}; choose {', '.join(BLEU.TOKENIZERS)}"
        )
    try:
        # `force` only silences sacreBLEU's warning of tokenized lines, which this module gives
        return BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    except (ImportError, OSError, RuntimeError, SystemExit) as error:
        # some tokenizers need a package or a download; sacreBLEU exits if a certificate is missing
        reason = " ".join(str(error).split())
        raise UsageError(f"sacreBLEU tokenizer {tokenize!r} cannot be loaded: {reason}") from error


def sacrebleu_words(tokenize: str) -> Callable[[str], list[str]]:
    """Return a function that cuts a text into the words of sacreBLEU's tokenizer.

    Raises:
        UsageError: the tokenizer is unknown or cannot be loaded.
    """
    tokenizer = bleu_metric(tokenize, lowercase=False).tokenizer
    return lambda text: tokenizer(text.rstrip()).split()


def chrf_metric() -> "CHRF":
    """Return sacreBLEU's chrF2."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def ter_metric() -> "TER":
    """Return sacreBLEU's TER."""
    from sacrebleu.metrics.ter import TER

    return TER()


def _corpus_score(
    metric: "Metric", hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> MetricScore:
    result = metric.corpus_score(hypotheses, references)
    signature = metric.get_signature().format()
    text = result.format(width=_TEXT_DECIMALS, signature=signature)
    how = f"sacreBLEU, {signature}"
    return MetricScore(result.name, float(result.score), text, signature, how)


def _multi_bleu_line(result: "BLEUScore") -> tuple[float, str]:
    """Return the score in percent and multi-bleu.perl's line, from sacreBLEU's counts.

    The last steps follow the script's order of operations, because 100 * (c / t) and 100 * c / t
    may differ in the last bit and then round to different printed digits.
    """
    if result.ref_len == 0:
        return 0.0, "BLEU = 0, 0/0/0/0 (BP=0, ratio=0, hyp_len=0, ref_len=0)"
    precisions = [
        correct / total if total else 0.0
        for correct, total in zip(result.counts, result.totals, strict=True)
    ]
    score = 0.0
    if all(precisions):
        log_sum = 0.0  # not sum(), which compensates for rounding from Python 3.12 on
        for precision in precisions:
            log_sum += math.log(precision)
        score = 100 * (result.bp * math.exp(log_sum / 4))
    percents = "/".join(f"{100 * p:.1f}" for p in precisions)
    lengths = f"hyp_len={result.sys_len}, ref_len={result.ref_len}"
    text = (
        f"BLEU = {score:.2f}, {percents} (BP={result.bp:.3f}, ratio={result.ratio:.3f}, {lengths})"
    )
    return score, text
