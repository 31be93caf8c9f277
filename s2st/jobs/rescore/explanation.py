"""Why rescoring chose another hypothesis: weighted features and the models' word scores.

An Explainer watches the ranked lists. It keeps the sentences whose choice changed with the largest
effect, so its memory does not grow with the number of lists.
"""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s2st.jobs.rescore.ranking import RankedList
from s2st.rescoring.feature_weights import CHANNEL, Weights
from s2st.rescoring.metrics import Metric
from s2st.scoring.nbest_features import ListFeature, tokens_of
from s2st.text.line_files import split_words
from s2st.text.nbest_lists import NBestEntry
from s2st.text.tokenizers import SPACE_SIGN

MAX_SENTENCES = 1000
MAX_WORDS = 5  # of each sentence, those with the largest disagreement
END = "</s>"
_CONTINUED = "@@"  # of subword-nmt, at the end of a token that the next one continues


@dataclass(frozen=True)
class FeatureShare:
    """What one value of a feature adds to the new choice's lead.

    Attributes:
        name: the feature; of several values, with the number of the value from 0.
        weight: its weight.
        baseline, new: its values in the baseline's choice and in the new choice.
        share: weight * (new - baseline). The shares of all features add up to the margin.
    """

    name: str
    weight: float
    baseline: float
    new: float
    share: float


@dataclass(frozen=True)
class WordScores:
    """The log-probability of a word under each model.

    Attributes:
        choice: "baseline" or "new", the hypothesis with the word; "both" if position and scores
            are the same in both.
        position: number of the word from 0; the end of the sentence comes last.
        word: the word, or END.
        log_probs: feature name of each model -> log-probability in nats.
        disagreement: largest minus smallest log-probability; of a single model, minus its value.
    """

    choice: str
    position: int
    word: str
    log_probs: Mapping[str, float]
    disagreement: float


@dataclass(frozen=True)
class SentenceExplanation:
    """A sentence whose choice changed.

    Attributes:
        id: sentence number from 0.
        source: the source line.
        references: the references, if they are known.
        baseline, new: the hypothesis with the baseline's highest total, and the new choice.
        margin: new total of the new choice minus that of the baseline's choice.
        metric_baseline, metric_new: sentence scores in percent; None without references.
        features: the features with a share, the largest first.
        words: words on which the models disagree most, the largest disagreement first; empty
            without scores of words.
    """

    id: int
    source: str
    references: tuple[str, ...]
    baseline: str
    new: str
    margin: float
    metric_baseline: float | None
    metric_new: float | None
    features: tuple[FeatureShare, ...]
    words: tuple[WordScores, ...]

    @property
    def effect(self) -> float:
        """What sentences are sorted by: the change of the metric, without references the margin."""
        if self.metric_new is None or self.metric_baseline is None:
            return self.margin
        return abs(self.metric_new - self.metric_baseline)


@dataclass(frozen=True)
class Explanation:
    """All choices of a run.

    Attributes:
        lists: number of lists.
        changed: number of lists whose choice changed.
        metric: name of the sentence metric; None without references.
        models: names of the models' features that have scores of words.
        weights: the weights of the run.
        sentences: changed choices by falling effect, at most MAX_SENTENCES.
    """

    lists: int
    changed: int
    metric: str | None
    models: tuple[str, ...]
    weights: Weights
    sentences: tuple[SentenceExplanation, ...]


class Explainer:
    """Collects the explanations of ranked lists.

    Args:
        weights: the weights of the run.
        sources: the source lines.
        references: one sequence of lines per reference set; may be empty.
        metric: the metric of sentences.
        features: the models; empty if the lists had their scores.
    """

    def __init__(
        self,
        weights: Weights,
        sources: Sequence[str],
        references: Sequence[Sequence[str]],
        metric: Metric,
        features: Sequence[ListFeature],
    ) -> None:
        self._weights = weights
        self._sources = sources
        self._references = references
        self._metric = metric
        self._features = features
        self._lists = 0
        self._changed = 0
        self._kept: list[tuple[float, int, SentenceExplanation]] = []

    def watch(self, ranked: Iterator[RankedList]) -> Iterator[RankedList]:
        """Yield the lists, and explain each changed choice."""
        for item in ranked:
            self._lists += 1
            totals = [t if math.isfinite(t) else -math.inf for t in item.scored.totals]
            first = int(np.argmax(totals))
            if item.entries[first].hypothesis != item.entries[item.best].hypothesis:
                self._changed += 1
                found = self._explain(item, first)
                # of equal effects, the first sentence stays
                heapq.heappush(self._kept, (found.effect, -found.id, found))
                if len(self._kept) > MAX_SENTENCES:
                    heapq.heappop(self._kept)
            yield item

    def finish(self) -> Explanation:
        """Return the explanation of all lists that have passed."""
        ordered = sorted(self._kept, key=lambda kept: (-kept[0], -kept[1]))
        return Explanation(
            lists=self._lists,
            changed=self._changed,
            metric=self._metric.name if self._references else None,
            models=tuple(f.name for f in self._features if not f.name.startswith(CHANNEL)),
            weights=self._weights,
            sentences=tuple(found for _, _, found in ordered),
        )

    def _explain(self, item: RankedList, first: int) -> SentenceExplanation:
        old, new = item.entries[first], item.entries[item.best]
        references = tuple(lines[item.id] for lines in self._references)
        scores: list[float | None] = [None, None]
        if references:
            rows = self._metric.statistics([old.hypothesis, new.hypothesis], references)
            scores = [float(score) for score in self._metric.sentence(rows)]
        margin = new.total - old.total
        words = _joined(self._words(item, first, "baseline"), self._words(item, item.best, "new"))
        words.sort(key=lambda word: -word.disagreement)
        return SentenceExplanation(
            id=item.id,
            source=self._sources[item.id],
            references=references,
            baseline=old.hypothesis,
            new=new.hypothesis,
            margin=margin if math.isfinite(margin) else 0.0,
            metric_baseline=scores[0],
            metric_new=scores[1],
            features=tuple(shares(old, new, self._weights)),
            words=tuple(words[:MAX_WORDS]),
        )

    def _words(self, item: RankedList, index: int, choice: str) -> list[WordScores]:
        """Return the scores of each word of a hypothesis under the models that have them."""
        words = split_words(item.entries[index].hypothesis)
        columns: dict[str, list[float]] = {}
        for feature, scores in zip(self._features, item.scored.token_scores, strict=False):
            if feature.name.startswith(CHANNEL):  # its scores belong to source words
                continue
            tokens = tokens_of(feature.target, item.entries[index].hypothesis)
            found = scores_of_words(words, tokens, scores[index].tolist())
            if found is not None:
                columns[feature.name] = found
        made = []
        for position, word in enumerate([*words, END]) if columns else ():
            values = {name: column[position] for name, column in columns.items()}
            low, high = min(values.values()), max(values.values())
            spread = high - low if len(values) > 1 else -low
            made.append(WordScores(choice, position, word, values, spread))
        return made


def _joined(old: Sequence[WordScores], new: Sequence[WordScores]) -> list[WordScores]:
    """Return the words of two choices, those that are equal in position and scores once."""
    first = {word.position: word for word in old}
    joined = {
        word.position
        for word in new
        if word.position in first and replace(first[word.position], choice="new") == word
    }
    found = [replace(w, choice="both") if w.position in joined else w for w in old]
    return [*found, *(word for word in new if word.position not in joined)]


def shares(old: NBestEntry, new: NBestEntry, weights: Weights) -> list[FeatureShare]:
    """Return the features that separate two hypotheses, the largest share first."""
    values = [
        {(name, i): x for name, xs in entry.features for i, x in enumerate(xs)}
        for entry in (old, new)
    ]
    single = {name for name, xs in weights.values.items() if len(xs) == 1}
    found = []
    for name, i in dict.fromkeys([*values[0], *values[1]]):
        numbers = weights.values.get(name, ())
        weight = numbers[i] if i < len(numbers) else 0.0
        before, after = values[0].get((name, i), 0.0), values[1].get((name, i), 0.0)
        share = weight * (after - before)
        if weight and share and math.isfinite(share):
            shown = name if name in single else f"{name}[{i}]"
            found.append(FeatureShare(shown, weight, before, after, share))
    return sorted(found, key=lambda feature: -abs(feature.share))


def scores_of_words(
    words: Sequence[str], tokens: Sequence[str], scores: Sequence[float]
) -> list[float] | None:
    """Add up the scores of a word's tokens.

    Args:
        words: the words of a hypothesis.
        tokens: the tokens of a model, which may be parts of words.
        scores: log-probability of each token, then that of the end.

    Returns:
        The score of each word, then that of the end; None if the tokens do not spell the words.
    """
    if len(scores) != len(tokens) + 1:
        return None
    if len(tokens) == len(words):
        return list(scores)
    spelled = [t.replace(SPACE_SIGN, "").removesuffix(_CONTINUED) for t in tokens]
    if "".join(spelled) != "".join(words):
        return None
    ends = np.cumsum([len(word) for word in words])
    sums = [0.0] * len(words)
    read = 0
    for token, score in zip(spelled, scores, strict=False):
        # a token belongs to the word of its first character
        sums[min(int(np.searchsorted(ends, read, side="right")), len(words) - 1)] += score
        read += len(token)
    return [*sums, scores[-1]]
