"""The most probable next words after a prefix of the target, under any scorer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from s2st.data.batch import make_source
from s2st.errors import UsageError, describe_lines
from s2st.process.device import out_of_memory_errors
from s2st.scoring.base import Scorer
from s2st.text.vocabulary import BOS_ID, UNK_ID


@dataclass(frozen=True)
class NextWords:
    """p(next word | source, prefix) of the most probable words.

    Attributes:
        prefix: the prefix's tokens.
        unknown: those of them that the model does not know, each once.
        words: at most `count` tokens, best first. Words of probability 0 are not among them.
        log_probs: their log-probabilities.
    """

    prefix: tuple[str, ...]
    unknown: tuple[str, ...]
    words: tuple[str, ...]
    log_probs: tuple[float, ...]


@torch.inference_mode()
def next_words(
    scorer: Scorer, sources: Sequence[str], prefix: str, count: int
) -> Iterator[NextWords]:
    """Yield the next words after the prefix for each source line.

    Args:
        scorer: a model or an ensemble.
        sources: the source lines, not tokenized; `[""]` for a language model.
        prefix: the beginning of the target, not tokenized; "" for the first word.
        count: number of words.

    Raises:
        UsageError: the model predicts the last word first.
        OutOfMemoryError: the message names the line.
    """
    source, target = scorer.source, scorer.target
    if target.right_to_left:
        raise UsageError(
            "the model predicts the last word first, so it has no next word after a prefix"
        )
    words = target.tokenizer.encode(prefix)
    ids = target.ids(words)
    pairs = zip(words, ids, strict=True)
    unknown = tuple(dict.fromkeys(word for word, i in pairs if i == UNK_ID))
    for number, line in enumerate(sources):
        row = source.ids(source.tokenizer.encode(line))
        with out_of_memory_errors(describe_lines([number], max(len(row), len(ids)))):
            state = scorer.start(make_source([row], [number]))
            for token in [BOS_ID, *ids]:
                step = scorer.step(torch.tensor([token], device=scorer.device), state)
                state = step.state
        log_probs = step.log_probs[0]
        best = log_probs.topk(min(count, len(log_probs)))
        found = [
            (target.vocabulary.tokens[word], value)
            for word, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            if value > scorer.log_zero
        ]
        yield NextWords(
            tuple(words), unknown, tuple(w for w, _ in found), tuple(v for _, v in found)
        )
