"""The file of `rescore-nbest --explain`: a page for readers (.html), or all figures (.json)."""

import json
from collections.abc import Iterator
from typing import Any

from s2st.analysis.html_page import render_page
from s2st.analysis.report_document import (
    Column,
    MarkedWords,
    Report,
    Sample,
    Samples,
    Section,
    Table,
)
from s2st.analysis.sentence_changes import differing_words
from s2st.jobs.rescore.explanation import Explanation, SentenceExplanation
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import split_words

PAGE_SENTENCES = 200  # that a page shows
WHERE = {"baseline": "baseline's choice", "new": "new choice", "both": "both choices"}
PAGE_FEATURES = 6  # of a sentence


def write_explanation(path: str, explanation: Explanation) -> None:
    """Write the file completely or not at all, in the format of its suffix .html or .json.

    Raises:
        OutputError: the file cannot be written.
    """
    if path.endswith(".json"):
        text = json.dumps(explanation_values(explanation), indent=1, ensure_ascii=False)
        write_whole(path, [text + "\n"])
    else:
        write_whole(path, [render_page(explanation_page(explanation))])


def explanation_values(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation as JSON values; docs/how-to/rescore.md documents the fields."""
    weights = explanation.weights.values
    return {
        "lists": explanation.lists,
        "changed": explanation.changed,
        "shown": len(explanation.sentences),
        "metric": explanation.metric,
        "sorted_by": "margin" if explanation.metric is None else "metric_change",
        "models": list(explanation.models),
        "weights": {name: list(numbers) for name, numbers in weights.items()},
        "sentences": [_sentence_values(sentence) for sentence in explanation.sentences],
    }


def _sentence_values(sentence: SentenceExplanation) -> dict[str, Any]:
    baseline, new = split_words(sentence.baseline), split_words(sentence.new)
    marks = differing_words(baseline, new)
    scores = (sentence.metric_baseline, sentence.metric_new)
    change = None if None in scores else (scores[1] or 0.0) - (scores[0] or 0.0)
    return {
        "id": sentence.id,
        "source": sentence.source,
        "references": list(sentence.references),
        "baseline": sentence.baseline,
        "new": sentence.new,
        "baseline_differs": marks[0],
        "new_differs": marks[1],
        "margin": sentence.margin,
        "metric_baseline": sentence.metric_baseline,
        "metric_new": sentence.metric_new,
        "metric_change": change,
        "features": [vars(feature) for feature in sentence.features],
        "words": [{**vars(word), "log_probs": dict(word.log_probs)} for word in sentence.words],
    }


def explanation_page(explanation: Explanation) -> Report:
    """Return the page of an explanation."""
    changed, lists = explanation.changed, explanation.lists
    share = 100 * changed / max(1, lists)
    sections = [_features(explanation)]
    if explanation.sentences:
        sections.append(_sentences(explanation))
    return Report(
        title="Why rescoring chose other hypotheses",
        lead=(
            f"Of {lists:,} lists, rescoring chose another hypothesis than the baseline in "
            f"{changed:,} ({share:.1f} %)."
        ),
        facts=(),
        sections=tuple(sections),
    )


def _features(explanation: Explanation) -> Section:
    """Return the table of features over the changed choices."""
    totals: dict[str, list[float]] = {}
    decided: dict[str, int] = {}
    weights: dict[str, float] = {}
    for sentence in explanation.sentences:
        for feature in sentence.features:
            totals.setdefault(feature.name, []).append(feature.share)
            weights[feature.name] = feature.weight
        leading = max(sentence.features, key=lambda feature: feature.share, default=None)
        if leading is not None and leading.share > 0:
            decided[leading.name] = decided.get(leading.name, 0) + 1
    count = max(1, len(explanation.sentences))
    rows = sorted(
        (
            (name, weights[name], sum(values) / count, decided.get(name, 0))
            for name, values in totals.items()
        ),
        key=lambda row: -abs(row[2]),
    )
    return Section(
        "Features that decided",
        (
            "Weight: the feature's weight in the new total.",
            "Mean share: weight times (value in the new choice minus value in the baseline's "
            "choice), averaged over the changed choices. All features together give the mean "
            "margin, so a positive share speaks for the new choice.",
            "Decided: the number of changed choices in which this feature has the largest share.",
        ),
        (
            Table(
                f"Features over {len(explanation.sentences):,} changed choices.",
                (
                    Column("feature"),
                    Column("weight", number=True, digits=4),
                    Column("mean share", number=True, digits=4),
                    Column("decided", number=True, digits=0),
                ),
                tuple(rows),
            ),
        ),
    )


def _sentences(explanation: Explanation) -> Section:
    """Return the changed choices with the largest effect."""
    shown = explanation.sentences[:PAGE_SENTENCES]
    metric = explanation.metric
    order = "the margin" if metric is None else f"the change of sentence {metric}, up or down"
    text = [
        f"The {len(shown):,} changed choices with the largest effect, sorted by {order}. "
        "Underlined words differ between the two choices.",
        "Margin: new total of the new choice minus new total of the baseline's choice.",
        "Features: share in the margin = weight × (value in the new choice − value in the "
        "baseline's choice).",
    ]
    if metric is not None:
        text.insert(1, f"{metric}: of the sentence, in percent; larger is better.")
    if len(explanation.models) > 1:
        text.append(
            "Words: log-probability in nats under each model, and how far the models lie apart."
        )
    elif explanation.models:
        text.append("Words: those that the model finds least likely, log-probability in nats.")
    references = len(shown[0].references)
    columns = ["source", *(["reference"] * references), "baseline's choice", "new choice"]
    columns += ["features", "words"] if any(s.words for s in shown) else ["features"]
    rows = tuple(_sample(sentence, metric, len(columns)) for sentence in shown)
    return Section(
        "Changed choices",
        tuple(text),
        (Samples("Sentences, largest effect first.", tuple(columns), rows),),
    )


def _sample(sentence: SentenceExplanation, metric: str | None, columns: int) -> Sample:
    baseline, new = split_words(sentence.baseline), split_words(sentence.new)
    marks = differing_words(baseline, new)
    note = f"line {sentence.id + 1}, margin {sentence.margin:+.4g}"
    if sentence.metric_baseline is not None and sentence.metric_new is not None:
        change = sentence.metric_new - sentence.metric_baseline
        scores = f"{sentence.metric_baseline:.1f} to {sentence.metric_new:.1f}"
        note += f", {metric} {scores} ({change:+.1f})"
    texts: list[str | MarkedWords] = [sentence.source, *sentence.references]
    texts += [
        MarkedWords(tuple(baseline), tuple(marks[0])),
        MarkedWords(tuple(new), tuple(marks[1])),
        "\n".join(_feature_lines(sentence)),
        "\n".join(_word_lines(sentence)),
    ]
    return Sample(note, tuple(texts[:columns]))


def _feature_lines(sentence: SentenceExplanation) -> Iterator[str]:
    for feature in sentence.features[:PAGE_FEATURES]:
        yield (
            f"{feature.name} {feature.share:+.4g} = {feature.weight:.4g} × ({feature.new:.4g} − "
            f"{feature.baseline:.4g})"
        )
    left = sentence.features[PAGE_FEATURES:]
    if left:
        yield f"{len(left)} more features {sum(feature.share for feature in left):+.4g}"


def _word_lines(sentence: SentenceExplanation) -> Iterator[str]:
    for word in sentence.words:
        scores = ", ".join(f"{name} {value:.2f}" for name, value in word.log_probs.items())
        where = WHERE[word.choice]
        apart = f", {word.disagreement:.2f} apart" if len(word.log_probs) > 1 else ""
        yield f"{word.word} ({where}, word {word.position + 1}): {scores}{apart}"
