"""`Model.explain` against the search itself, plain scoring, and sentence vectors."""

import itertools
import math

import builders
import numpy as np
import pytest
import torch

import s2st as library
from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES

SENTENCE = "the cat sleeps ."
SHORT = {"max_len_a": 0, "max_len_b": 6}


@pytest.fixture(scope="module")
def models(world):
    names = ("forward", "reversed", "gru")
    return {name: library.load(getattr(world, name), threads=1) for name in names}


def random_model(folder, name, **values):
    config = ARCHITECTURES.get(name).config_type(**values)
    record = builders.record(name, config)
    torch.manual_seed(1)
    folder.mkdir()
    write_model_files(folder, record, record.build().state_dict())
    write_manifest(folder, record, {})
    return library.load(folder, threads=1)


SMALL = {"layers": 1, "hidden_size": 8, "embedding_size": 4, "dropout": 0.0}


@pytest.mark.parametrize("name", ["forward", "reversed", "gru"])
def test_the_hypotheses_are_those_of_nbest(models, name):
    found = models[name].explain(SENTENCE, beam=4, **SHORT)
    (expected,) = models[name].nbest([SENTENCE], 4, beam=4, **SHORT)
    assert list(found.hypotheses) == expected
    assert found.source_tokens == (*SENTENCE.split(), "</s>")


def path(tree, node):
    words = []
    while node:
        words.append(tree[node].token)
        node = tree[node].parent
    return tuple(reversed(words))


def test_the_tree_has_every_hypothesis_and_the_probabilities_of_plain_scoring(models):
    model = models["forward"]
    found = model.explain(SENTENCE, beam=4, **SHORT)
    ends = {node.rank: i for i, node in enumerate(found.tree) if node.rank is not None}
    assert sorted(ends) == list(range(len(found.hypotheses)))
    for rank, index in ends.items():
        hypothesis = found.hypotheses[rank]
        assert path(found.tree, index) == hypothesis.tokens
        assert math.isclose(found.tree[index].total, hypothesis.log_prob, abs_tol=1e-4)
        assert found.tree[index].score == hypothesis.score
    assert all(node.parent < i for i, node in enumerate(found.tree))
    # each partial hypothesis has the probability that `score` gives to its words
    for index in range(1, len(found.tree)):
        words = path(found.tree, index)
        if words[-1] != "</s>" and "<unk>" not in words:
            (pair,) = model.score([SENTENCE], [" ".join(words)])
            assert math.isclose(pair.token_log_probs[:-1].sum(), found.tree[index].total,
                                abs_tol=1e-4)  # fmt: skip


def test_no_step_keeps_more_than_the_beam(models):
    tree = models["forward"].explain(SENTENCE, beam=3, **SHORT).tree
    depths = [0]
    for node in tree[1:]:
        depths.append(depths[node.parent] + 1)
    assert max(depths.count(depth) for depth in set(depths)) == 3


def test_alternatives_are_the_best_words_of_the_vocabulary(models, world):
    """Against the probability of every word, by plain scoring of all continuations."""
    model = models["forward"]
    found = model.explain(SENTENCE, beam=2, alternatives=3, **SHORT)
    vocabulary = [line.split()[0] for line in open(world.forward / "dict.fr.txt")]  # noqa: SIM115
    before = found.choices[1].prefix
    assert before == found.hypotheses[0].tokens[:1]
    texts = [" ".join((*before, word)) for word in vocabulary]
    scores = [p.token_log_probs[1] for p in model.score([SENTENCE] * len(texts), texts)]
    known = dict(zip(vocabulary, scores, strict=True))
    tokens = [t for t in found.choices[1].tokens if t in known]
    assert len(tokens) >= 2
    best = sorted(known, key=known.get, reverse=True)[: len(tokens)]
    assert tokens == best
    values = dict(zip(found.choices[1].tokens, found.choices[1].log_probs, strict=True))
    assert all(math.isclose(values[t], known[t], abs_tol=1e-4) for t in tokens)


def test_a_prefix_is_text_or_tokens(models):
    model = models["forward"]
    free = model.explain(SENTENCE, beam=2, **SHORT)
    forced = [*free.choices[0].prefix, free.choices[0].tokens[2]]
    found = model.explain(SENTENCE, prefix=forced, beam=2, **SHORT)
    assert all(one.tokens[0] == forced[0] for one in found.hypotheses)
    text = model.explain(SENTENCE, prefix=forced[0], beam=2, **SHORT)
    assert text.hypotheses == found.hypotheses
    assert found.choices[0] == free.choices[0]  # what the model thinks of the forced word


@pytest.mark.parametrize("name", ["forward", "reversed", "gru"])
def test_the_path_reads_in_the_order_of_the_model_and_ends_in_the_sentence_vector(models, name):
    model = models[name]
    states = model.explain(SENTENCE, beam=2, **SHORT).states
    words = SENTENCE.split()
    expected = words[::-1] if name == "reversed" else words
    assert states.source == (*expected, "</s>")
    assert states.target[0] == "<s>"
    assert len(states.places) == len(states.source) + len(states.target)
    # The encoder's last state is the sentence vector: project it on the same components.
    from s2st.analysis.explanation import choices_and_states
    from s2st.data.batch import make_source

    scorer = model._models.scorer
    source = make_source([scorer.source.ids(words)], [0])
    last = scorer.state_vectors(scorer.reading(source).state)[-1].numpy()
    np.testing.assert_allclose(last, model.sentence_vectors([SENTENCE])[0], atol=1e-6)
    _, moves = choices_and_states(scorer, source, [], 1)
    assert len(moves.words) == 1


def test_the_state_after_some_words_is_that_of_the_words_alone(models):
    """The reader has not seen what comes later."""
    from s2st.data.batch import make_source

    scorer = models["forward"]._models.scorer
    ids = scorer.source.ids(SENTENCE.split())
    whole = scorer.state_vectors(scorer.reading(make_source([ids], [0])).state)
    part = scorer.state_vectors(scorer.reading(make_source([ids[:2]], [0])).state)
    torch.testing.assert_close(whole[:2], part[:2])


def test_models_with_attention_have_a_map_and_no_path(tmp_path):
    model = random_model(tmp_path / "m", "gru-attention", **SMALL)
    found = model.explain("a b", beam=2, **SHORT)
    assert found.states is None
    assert found.hypotheses[0].attention.shape == (len(found.choices), 3)


@pytest.mark.parametrize("sentence", ["", "   "])
def test_an_empty_line_has_an_empty_explanation(models, sentence):
    found = models["forward"].explain(sentence)
    assert found.hypotheses[0].text == ""
    assert (len(found.tree), found.choices, found.states) == (1, (), None)


@pytest.mark.parametrize(
    ("keywords", "part"),
    [
        ({"sentence": ["a"]}, "must be one text"),
        ({"alternatives": 0}, "alternatives must be a number from 1"),
        ({"alternatives": "5"}, "alternatives must be a number from 1"),
        ({"search": "greedy"}, "'search' is not possible here"),
        ({"shortlist": "x"}, "'shortlist' is not possible here"),
        ({"prefix": ["</s>"]}, "'</s>' is no token"),
        ({"prefix": ["never-seen"]}, "'never-seen' is no token"),
        ({"prefix": 5}, "prefix must be one text, or a list of tokens"),
        ({"beem": 3}, "did you mean beam"),
    ],
)
def test_wrong_arguments_get_one_clear_error(models, keywords, part):
    with pytest.raises(library.UsageError, match=r"^[^\n]*$") as caught:
        models["forward"].explain(**{"sentence": SENTENCE, **keywords})
    assert part in str(caught.value)


def test_records_are_frozen_and_compare_by_value(models):
    one, other = (models["forward"].explain(SENTENCE, beam=2, **SHORT) for _ in range(2))
    assert one == other
    with pytest.raises(ValueError):
        one.states.places[0, 0] = 1


def test_pairs_of_models_differ(models):
    found = [model.explain(SENTENCE, beam=2, **SHORT) for model in models.values()]
    assert all(a != b for a, b in itertools.combinations(found, 2))


def test_a_language_model_continues_the_sentence(s2st, world, tmp_path):
    arpa = tmp_path / "fr.arpa"
    first = world.target.read_text("utf-8").split()[0]
    words = ["--order", 2, "--discount-fallback"]
    assert s2st("train-ngram", world.target, "-o", arpa, *words).code == 0
    found = library.load(arpa).explain(first, beam=3)
    assert found.source_tokens == ()
    assert found.states is None
    assert all(one.tokens[0] == first for one in found.hypotheses)
    forced = [first, found.choices[1].tokens[1]]
    assert found.choices[1].prefix == (first,)
    again = library.load(arpa).explain(first, beam=3, prefix=forced[1:])
    assert all(list(one.tokens[:2]) == forced for one in again.hypotheses)


def test_a_model_that_writes_the_last_word_first(s2st, world, tiny, tmp_path):
    """Tree, prefixes and states are in the model's order; tokens and choices in the text's."""
    save = tmp_path / "model"
    outcome = s2st("train", world.store, *tiny, "-a", "lstm", "--reverse-target",
                   "--save-dir", save)  # fmt: skip
    assert outcome.code == 0, outcome.err
    model = library.load(save / "checkpoint_best", threads=1)
    options = {"beam": 3, "max_len_a": 0, "max_len_b": 6, "min_len": 3}
    found = model.explain(SENTENCE, **options)
    best = found.hypotheses[0]
    assert found.right_to_left
    assert list(found.hypotheses) == model.nbest([SENTENCE], 3, **options)[0]
    end = next(i for i, node in enumerate(found.tree) if node.rank == 0)
    words = best.tokens[:-1]
    assert path(found.tree, end) == (*words[::-1], "</s>")
    assert found.states.target == ("<s>", *words[::-1])
    # the first word of the text is chosen last
    assert found.choices[0].prefix == words[:0:-1]
    assert found.choices[len(words) - 1].prefix == ()
    forced = found.choices[len(words) - 1].tokens[1]
    again = model.explain(SENTENCE, prefix=[forced], **options)
    assert all(one.tokens[-2] == forced for one in again.hypotheses)
    with pytest.raises(library.UsageError, match="reverse-target"):
        model.explain(SENTENCE, prefix=forced)


def test_an_ensemble_has_a_tree_and_no_path(world):
    both = library.load([world.forward, world.gru], threads=1)
    found = both.explain(SENTENCE, beam=3, **SHORT)
    assert list(found.hypotheses) == both.nbest([SENTENCE], 3, beam=3, **SHORT)[0]
    assert found.states is None
