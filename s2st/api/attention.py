"""Attention maps of a loaded model, as `s2st analyze attention` computes them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s2st.analysis.options import MapsConfig
from s2st.api.arguments import lines_of, sources_of
from s2st.api.records import AttentionMap
from s2st.errors import DataError, UsageError
from s2st.options.option_fields import make_config

if TYPE_CHECKING:
    from s2st.api.arguments import Sources
    from s2st.scoring.base import Scorer
    from s2st.search.base import Search

WHERE = "Model.attention()"


def attention(
    scorer: "Scorer",
    lines: "Sources",
    targets: Iterable[str] | None,
    chosen: Mapping[str, Any],
    search: "Search | None",
    options: Sequence[str],
) -> list[AttentionMap]:
    """Return the maps of each line; see `Model.attention`.

    Args:
        scorer: the model.
        lines, targets: the text.
        chosen: values of `MapsConfig`.
        search: translates the lines, if there are no targets.
        options: names of the options of the search that the caller gave.

    Raises:
        UsageError: wrong arguments, or a model without such attention.
        DataError: a line has no words, or lines and targets differ in number.
    """
    from s2st.analysis.attention_map import attention_maps

    choice = make_config(MapsConfig, chosen, WHERE)
    absent = scorer.source.absent
    texts = sources_of(lines, scorer.source)
    others = _targets(texts, targets, absent, options)
    side = scorer.target if absent else scorer.source
    for number, line in enumerate(texts, start=1):
        if not side.tokenizer.encode(line):
            raise DataError(f"lines, line {number}: it has no words to attend to")
    found = [
        one
        for line, other in zip(texts, others, strict=True)
        for one in attention_maps(scorer, choice, line, other, search)
    ]
    return [
        AttentionMap(
            m.source, m.target, m.weights, m.log_prob, m.rows, m.columns, m.part, m.layer, m.head
        )
        for m in found
    ]


def _targets(
    texts: Sequence[str], targets: Iterable[str] | None, absent: bool, options: Sequence[str]
) -> Sequence[str | None]:
    """Return the target of each line, None to translate it; the text itself without a source."""
    if absent and targets is not None:
        raise UsageError(f"{WHERE}: a language model has no targets; give its text as lines")
    if options and (absent or targets is not None):
        what = "a language model" if absent else "targets"
        raise UsageError(f"{WHERE}: {options[0]} cannot be combined with {what}")
    if targets is None:
        return texts if absent else [None] * len(texts)
    others = lines_of(targets, "targets")
    if len(others) != len(texts):
        raise DataError(
            f"targets must have one line for each of the {len(texts)} lines, not {len(others)}"
        )
    return others
