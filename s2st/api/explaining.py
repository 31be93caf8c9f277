"""The work of `Model.explain`: a translation with what its search considered, as records."""

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from s2st.analysis.explanation import Choice as Found
from s2st.analysis.explanation import States, TracedBeam, choices_and_states, prefix_ids
from s2st.api.arguments import lines_of
from s2st.api.hypotheses import hypotheses_of
from s2st.api.records import BeamNode, Choice, Explanation, StatePath
from s2st.errors import UsageError
from s2st.jobs.generate import translate_lines
from s2st.options.option_fields import shown
from s2st.options.resolution import Resolved

if TYPE_CHECKING:
    from s2st.scoring.base import Scorer, TextSide

MAX_ALTERNATIVES = 1000


def explain(
    scorer: "Scorer",
    options: Resolved,
    sentence: str,
    prefix: str | Sequence[str],
    alternatives: object,
) -> Explanation:
    """Return the explanation; see `Model.explain`."""
    if not isinstance(sentence, str):
        raise UsageError(f"sentence must be one text, not {shown(sentence)}")
    count = int(alternatives) if isinstance(alternatives, Integral) else 0
    if not 1 <= count <= MAX_ALTERNATIVES:
        raise UsageError(
            f"alternatives must be a number from 1 to {MAX_ALTERNATIVES}, not {shown(alternatives)}"
        )
    lines = lines_of([sentence], "sentence")
    if not isinstance(prefix, str | Sequence):
        raise UsageError(f"prefix must be one text, or a list of tokens, not {shown(prefix)}")
    text, tokens = (prefix, []) if isinstance(prefix, str) else ("", lines_of(prefix, "prefix"))
    traced = TracedBeam(options.configs["search"], prefix_ids(scorer, tokens))
    beginnings = [text] if text else None
    (translation,) = translate_lines(options, lines, scorer, beginnings, None, traced)
    target, source = scorer.target, traced.source
    found = tuple(hypotheses_of(translation))
    choices: tuple[Choice, ...] = ()
    states = None
    if source is not None:
        best = traced.found[0].tokens
        made, moves = choices_and_states(scorer, source, best, count)
        choices = _choices(target, best, made)
        if moves is not None and found[0].attention is None:
            states = _path(found[0].source_tokens, target, moves)
    return Explanation(
        source=sentence,
        source_tokens=() if scorer.source.absent else found[0].source_tokens,
        hypotheses=found,
        tree=_tree(target, traced),
        choices=choices,
        states=states,
        right_to_left=target.right_to_left,
    )


def _tree(target: "TextSide", traced: TracedBeam) -> tuple[BeamNode, ...]:
    words = target.vocabulary.tokens
    return tuple(
        BeamNode(
            node.parent, words[node.word] if index else "", node.log_prob, node.total, node.score,
            node.rank,
        )
        for index, node in enumerate(traced.tree())
    )  # fmt: skip


def _choices(target: "TextSide", best: Sequence[int], made: Sequence[Found]) -> tuple[Choice, ...]:
    """Return the choices in the order of the text."""
    words = target.vocabulary.tokens
    before = [words[word] for word in best]
    found = [
        Choice(tuple(words[word] for word in one.words), np.array(one.log_probs), (*before[:i],))
        for i, one in enumerate(made)
    ]
    return tuple(found[place] for place in target.places(len(found)))


def _path(source: Sequence[str], target: "TextSide", moves: States) -> StatePath:
    words = target.vocabulary.tokens
    read = tuple(source[place] for place in moves.read)
    return StatePath(
        read, tuple(words[word] for word in moves.words), moves.places, moves.explained
    )
