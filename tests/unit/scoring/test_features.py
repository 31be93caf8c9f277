"""Features of rescoring against plain loops: right to left, without a source, and by a channel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import TINY, mixed_members, scorer
from fakes import text_side

from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.base import TextSide
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.nbest_features import ChannelFeature, DirectFeature
from s2st.text.tokenizers import absent_side
from s2st.text.vocabulary import UNK_ID, Vocabulary

LSTM = ARCHITECTURES.get("lstm").config_type
SOURCES = ["a b c", "f", "", "c a"]
LISTS = [["v w x", "v w", "v w x", ""], ["y y"], ["x z", "v"], []]


def right_to_left(forward: ModelScorer) -> ModelScorer:
    """The same weights, taken for those of a model that predicts last words first."""
    return ModelScorer(forward.model, forward.source, replace(forward.target, right_to_left=True))


def no_text() -> TextSide:
    return TextSide("nothing", absent_side().build(), Vocabulary([], []))


def plain(model, source, words):
    """Log-probabilities of ids, one pair at a time."""
    return model.score(make_batch([source], [words], [0]))[0].numpy()


def assert_alike(found, expected):
    assert [len(group) for group in found] == [len(group) for group in expected]
    for mine, its in zip(found, expected, strict=True):
        for row, other in zip(mine, its, strict=True):
            np.testing.assert_allclose(row, other, rtol=1e-5, atol=1e-5)


def test_a_right_to_left_model_scores_reversed_words_and_answers_in_the_order_of_the_text():
    forward = scorer("lstm", LSTM(**TINY), 3)
    found = DirectFeature("S2ST0", right_to_left(forward)).score(SOURCES, LISTS, 100)
    encode, source = forward.target.vocabulary.encode, forward.source.vocabulary
    expected = []
    for text, group in zip(SOURCES, LISTS, strict=True):
        rows = [plain(forward, source.encode(text.split()), encode(h.split())[::-1]) for h in group]
        expected.append([np.append(row[:-1][::-1], row[-1]) for row in rows])
    assert_alike(found.tokens, expected)


def test_a_right_to_left_side_reverses_words_and_places():
    side = replace(text_side("v w x"), right_to_left=True)
    assert side.ids(["v", "w", "?"]) == [UNK_ID, 5, 4]
    assert side.words(side.ids(["v", "x"])) == ["v", "x"]
    assert side.places(4) == [2, 1, 0, 3]
    assert side.places(1) == [0]
    assert text_side("v w x").places(3) == [0, 1, 2]
    assert no_text().absent
    assert not side.absent


def test_members_of_both_directions_are_refused():
    forward = scorer("lstm", LSTM(**TINY), 3)
    with pytest.raises(UsageError, match=r"right to left.*--feature-per member"):
        EnsembleScorer([forward, right_to_left(forward)])


def test_the_channel_scores_the_source_given_each_hypothesis():
    """French to English: what the lists call source is its target."""
    channel = scorer("lstm", LSTM(**TINY), 5, source_words="v w x y", target_words="a b c d e f")
    found = ChannelFeature("S2STChannel0", channel).score(SOURCES, LISTS, 3)
    read, said = channel.source.vocabulary.encode, channel.target.vocabulary.encode
    expected = [
        [plain(channel, read(h.split()), said(text.split())) for h in group]
        for text, group in zip(SOURCES, LISTS, strict=True)
    ]
    assert_alike(found.tokens, expected)
    assert [len(row) for row in found.tokens[0]] == [4] * 4  # a value for each source word
    assert found.positions == 4 * 4 + 2 + 2 * 1
    assert found.rows_stepped == found.positions - 4  # "v w x" twice


def test_a_channel_of_a_right_to_left_model_answers_in_the_order_of_the_source():
    channel = scorer("lstm", LSTM(**TINY), 5, source_words="v w x y", target_words="a b c d e f")
    found = ChannelFeature("S2STChannel0", right_to_left(channel)).score(["a b c"], [["v w"]], 9)
    row = plain(channel, channel.source.ids(["v", "w"]), channel.target.ids(["c", "b", "a"]))
    assert_alike(found.tokens, [[np.append(row[:-1][::-1], row[-1])]])


def test_a_language_model_among_translation_models():
    """An ensemble gives it empty sources, and takes its source words from the others."""
    config = ARCHITECTURES.get("lstm-lm").config_type(**TINY)
    language = scorer("lstm-lm", config, 2)
    language = ModelScorer(language.model, no_text(), language.target)
    translating = mixed_members()[0]
    both = EnsembleScorer([language, translating], [1.0, 3.0])
    assert both.source.vocabulary == translating.source.vocabulary
    source, target = [4, 5, 6], [5, 4, 7]
    mixed = 0.25 * np.exp(plain(language, [], target))
    mixed += 0.75 * np.exp(plain(translating, source, target))
    np.testing.assert_allclose(plain(both, source, target), np.log(mixed), rtol=1e-6)
    plainly = plain(EnsembleScorer([language]), [], target)
    np.testing.assert_allclose(plainly, plain(language, [], target))


def test_attention_of_an_ensemble_leaves_language_models_out():
    attention = ARCHITECTURES.get("gru-attention").config_type(**TINY)
    config = ARCHITECTURES.get("lstm-lm").config_type(**TINY)
    language = scorer("lstm-lm", config, 2)
    language = ModelScorer(language.model, no_text(), language.target)
    looking = [scorer("gru-attention", attention, seed) for seed in (1, 2)]
    both = EnsembleScorer([language, *looking], [5.0, 1.0, 3.0])
    source, tokens = make_batch([[4, 5, 6]], [[4]], [0]).source, torch.tensor([1])
    seen = [one.step(tokens, one.start(source)).attention for one in looking]
    expected = 0.25 * seen[0] + 0.75 * seen[1]
    torch.testing.assert_close(both.step(tokens, both.start(source)).attention, expected)
    blind = EnsembleScorer([*looking, mixed_members()[0]])
    assert blind.step(tokens, blind.start(source)).attention is None
    with pytest.raises(UsageError, match="reads no source"):  # it is not left out silently
        both.sentence_vectors(source)
