"""NGramScorer: against the formulas, against kenlm where it is installed, and in ensembles."""

import math

import numpy as np
import pytest
import torch
from builders import TARGET_WORDS, TINY, batch_for, scorer
from fakes import text_side
from ngram_models import KneserNey, ngram_scorer, random_text, tiny_ngrams

from s2st.data.batch import make_batch, make_source
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.base import Scorer
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.load_scorers import fingerprints, load_scorer
from s2st.scoring.ngram_scorer import NGramScorer
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

TEXT = random_text(200, 40)


def walk(model, words):
    """The step after BOS and some words."""
    state = model.start(make_source([[]], [0]))
    for token in [BOS_ID, *model.target.vocabulary.encode(words)]:
        result = model.step(torch.tensor([token]), state)
        state = result.state
    return result


@pytest.mark.parametrize(
    ("order", "thresholds"), [(1, ()), (2, ()), (3, ()), (5, ()), (4, (0, 0, 1))]
)
def test_every_word_has_the_probability_of_the_formulas(order, thresholds):
    """After seen contexts, unseen ones and unknown words; rows sum to one."""
    expected = KneserNey(TEXT, order, thresholds)
    model = ngram_scorer(expected)
    rng = np.random.default_rng(1)
    names = model.target.vocabulary.tokens
    prefixes = [line.split()[:5] for line in TEXT[:20]]
    prefixes += [list(rng.choice(names[3:], rng.integers(0, 7))) for _ in range(20)]
    for prefix in prefixes:
        step = walk(model, prefix)
        log_probs = step.log_probs[0]
        assert float(log_probs.exp().sum()) == pytest.approx(1, abs=1e-12)
        assert log_probs[PAD_ID] == log_probs[BOS_ID] == -math.inf
        context = tuple(["<s>", *prefix][max(0, len(prefix) + 2 - order) :]) if order > 1 else ()
        for word in (*expected.words[::7], "<unk>", "</s>"):
            index = {"<unk>": UNK_ID, "</s>": EOS_ID}.get(word, names.index(word))
            value = math.log(expected.prob(context, word))
            assert float(log_probs[index]) == pytest.approx(value, abs=1e-12)


def test_words_asked_for_alone_are_those_of_the_whole_step():
    model = ngram_scorer(KneserNey(TEXT, 4))
    size = len(model.target.vocabulary)
    rng = np.random.default_rng(0)
    state = model.start(make_source([[]] * 30, range(30)))
    tokens = torch.full((30,), BOS_ID)
    for _ in range(6):
        rows = torch.from_numpy(np.sort(rng.integers(0, 30, 100)))
        words = torch.from_numpy(rng.integers(2, size, 100))
        whole = model.step(tokens, state)
        some = model.step_words(tokens, state, rows, words)
        torch.testing.assert_close(some.log_probs, whole.log_probs[rows, words])
        best = model.step_best(tokens, state, 5, lambda table, part: None)
        torch.testing.assert_close(best.log_probs, whole.log_probs.topk(5).values)
        tokens, state = torch.from_numpy(rng.integers(3, size, 30)), some.state


def test_a_backoff_by_hand(tmp_path):
    """The sum of a line that needs bigrams, backoffs and <unk>, from the numbers of the file."""
    (tmp_path / "m.arpa").write_text(
        "\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-99\t<s>\t-0.5\n-0.25\t</s>\n-1\ta\t-0.125\n"
        "-2\t<unk>\t-0.75\n\n\\2-grams:\n-0.375\t<s> a\n-0.0625\ta </s>\n\n\\end\\\n"
    )
    model = load_scorer([str(tmp_path / "m.arpa")], torch.device("cpu"))
    side = model.target
    lines = ["a", "a b", "b a", ""]
    batch = make_batch([[]] * 4, [side.ids(line.split()) for line in lines], range(4))
    expected = [
        [-0.375, -0.0625, 0],
        [-0.375, -0.125 - 2, -0.75 - 0.25],
        [-0.5 - 2, -0.75 - 1, -0.0625],
        [-0.5 - 0.25, 0, 0],
    ]
    for found in (model.score(batch), Scorer.score(model, batch)):
        torch.testing.assert_close(found, torch.tensor(expected) * math.log(10))
    assert model.source.absent
    before = fingerprints([str(tmp_path / "m.arpa")])
    text = (tmp_path / "m.arpa").read_text()
    (tmp_path / "m.arpa").write_text(text.replace("-0.375", "-0.5"))
    assert fingerprints([str(tmp_path / "m.arpa")]) != before


def test_the_ids_of_another_side():
    """Words the model lacks share the probability of <unk> with <unk> itself, evenly."""
    expected = KneserNey(["a b c", "b a", "c c a b", "a"], 3)
    model = ngram_scorer(expected)
    side = text_side("z b a y", "fr")
    other = model.over(side)
    assert other.target == side
    assert model.target.vocabulary.tokens[4:] == ("a", "b", "c")  # unchanged
    step = walk(other, ["a", "z", "b"]).log_probs[0]
    context = ("<unk>", "b")
    share = expected.prob(context, "<unk>") / 3
    chances = [0, 0, expected.prob(context, "</s>"), share, share, expected.prob(context, "b")]
    chances += [expected.prob(context, "a"), share]
    assert step.exp().tolist() == pytest.approx([float(chance) for chance in chances])
    batch = batch_for(other)
    torch.testing.assert_close(other.score(batch), Scorer.score(other, batch))


@pytest.mark.parametrize("mode", ["probability", "log-probability"])
@pytest.mark.parametrize("first", [True, False])
def test_in_an_ensemble_with_a_translation_model(mode, first):
    """The mean by hand, whichever member comes first; the ids are the translation model's."""
    lstm = scorer("lstm", ARCHITECTURES.get("lstm").config_type(**TINY), 1)
    ngram = tiny_ngrams("y w v")
    members = [ngram, lstm] if first else [lstm, ngram]
    ensemble = EnsembleScorer(members, [3, 1] if first else [1, 3], mode)
    assert ensemble.target == lstm.target
    batch = batch_for(lstm)
    parts = []
    for member in (lstm, ngram.over(lstm.target)):
        state = member.start(batch.source)
        tables = []
        for column in batch.target_in.T:
            result = member.step(column, state)
            tables.append(result.log_probs)
            state = result.state
        parts.append(torch.stack(tables, dim=1))
    if mode == "probability":
        table = (0.25 * parts[0].exp() + 0.75 * parts[1].exp()).log()
    else:
        table = (0.25 * parts[0] + 0.75 * parts[1]).log_softmax(-1)
    wanted = table.gather(2, batch.target_out.unsqueeze(2)).squeeze(2)
    wanted = wanted.masked_fill(~batch.target_mask(), 0)
    torch.testing.assert_close(ensemble.score(batch), wanted)
    torch.testing.assert_close(Scorer.score(ensemble, batch), wanted)


def test_a_right_to_left_member_does_not_fit():
    side = text_side(TARGET_WORDS, "fr")
    backwards = tiny_ngrams(TARGET_WORDS)
    lstm = scorer("lstm", ARCHITECTURES.get("lstm").config_type(**TINY), 1)
    lstm.target = type(side)(side.language, side.tokenizer, side.vocabulary, right_to_left=True)
    with pytest.raises(UsageError, match="right to left"):
        EnsembleScorer([lstm, backwards])


def test_probabilities_are_kenlms_on_the_same_file(tmp_path):
    kenlm = pytest.importorskip("kenlm")
    for order in (2, 3, 5):
        path = tmp_path / f"{order}.arpa"
        path.write_text(KneserNey(TEXT, order).arpa())
        theirs = kenlm.Model(str(path))
        ours = NGramScorer(path)
        lines = [*random_text(100, 60, seed=5), "", "never seen"]
        ids = [ours.target.ids(line.split()) for line in lines]
        batch = make_batch([[]] * len(lines), ids, range(len(lines)))
        by_kenlm, by_tables = ours.score(batch), Scorer.score(ours, batch)
        for found in (by_kenlm / math.log(10), by_tables / math.log(10)):
            for line, row in zip(lines, found.tolist(), strict=True):
                scores = [score for score, _, _ in theirs.full_scores(line)]
                assert row[: len(scores)] == pytest.approx(scores, rel=1e-5)
        other = ours.over(text_side("w1 w0 new w7 newer", "fr"))
        batch = batch_for(other)
        torch.testing.assert_close(other.score(batch), Scorer.score(other, batch))
