"""Tests of alignments by attention, of replaced unknown words and of their files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import TINY, mixed_members, scorer, source_batch

from s2st.errors import DataError, UsageError
from s2st.jobs.attention_alignments import (
    format_links,
    links_of,
    read_dictionary,
    replace_unknown,
    require_attention,
)
from s2st.jobs.translation_tasks import translate
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.search.registry import SEARCHES
from s2st.text.vocabulary import BOS_ID, UNK_ID

# words a b c and the end, to x y and the end; x attends to c, y to the end and then to a
ATTENTION = np.array([[0.1, 0.2, 0.6, 0.1], [0.3, 0.1, 0.0, 0.6], [0, 0, 0, 1]], dtype=np.float32)


def test_a_word_is_aligned_with_the_source_word_it_attends_to_most_never_with_the_end():
    assert links_of(ATTENTION) == ((2, 0), (0, 1))
    assert format_links(links_of(ATTENTION)) == "2-0 0-1"
    assert links_of(ATTENTION[-1:]) == ()
    assert format_links(()) == ""


def test_unknown_words_become_their_source_words_or_their_translations():
    ids, words, source = [UNK_ID, 7, UNK_ID], ["<unk>", "v", "<unk>"], ["Anna", "sah", "Bob"]
    links = ((2, 0), (1, 1), (0, 2))
    made = replace_unknown(ids, words, links, source, {"Anna": "Anne", "sah": "no"})
    assert made == ["Bob", "v", "Anne"]
    assert words == ["<unk>", "v", "<unk>"]


def test_a_dictionary_has_two_words_a_line_and_the_first_line_counts(tmp_path):
    path = tmp_path / "words"
    path.write_text("hund\tdog\nkatze cat\nhund hound\n")
    assert read_dictionary(str(path)) == {"hund": "dog", "katze": "cat"}
    assert read_dictionary(None) == {}
    path.write_text("hund dog\nkatze the cat\n")
    with pytest.raises(DataError, match=r"words.*line 2.*3 words"):
        read_dictionary(str(path))


def attending(seed, **options):
    config = ARCHITECTURES.get("gru-attention").config_type(**{**TINY, **options})
    return scorer("gru-attention", config, seed)


def test_attention_needs_a_scorer_whose_members_all_have_it():
    require_attention(attending(1), "--alignments")
    require_attention(EnsembleScorer([attending(1), attending(2, attention="dot")]), "--alignments")
    for without in (mixed_members()[0], EnsembleScorer([attending(1), mixed_members()[2]])):
        with pytest.raises(UsageError, match="--replace-unk needs a model with attention"):
            require_attention(without, "--replace-unk")


def test_every_unknown_word_is_replaced_by_the_word_its_own_row_points_to():
    entry = SEARCHES.get("beam")
    search = entry.build(entry.config_type(max_len_b=4, max_len_a=0, beam=8, nbest=8, min_len=2))
    lines = ["a b q c", "zz f", "e d c b a"]
    members = [attending(seed) for seed in (3, 5)]  # whose translations have unknown words
    for model in (members[0], EnsembleScorer(members)):
        plain = list(translate(model, search, [lines], None, False))
        replaced = list(translate(model, search, [lines], None, False, {"q": "Q!"}))
        seen = 0
        for line, before, after in zip(lines, plain, replaced, strict=True):
            assert before.source_words == tuple(line.split())
            for found, words, others in zip(
                before.hypotheses, before.words, after.words, strict=True
            ):
                assert found.attention.shape == (len(words) + 1, len(line.split()) + 1)
                np.testing.assert_allclose(found.attention.sum(axis=1), 1, atol=1e-6)
                for row, old, new in zip(found.attention, words, others, strict=False):
                    expected = line.split()[int(np.argmax(row[:-1]))]
                    expected = {"q": "Q!"}.get(expected, expected)
                    assert new == (expected if old == "<unk>" else old)
                    seen += old == "<unk>"
        assert seen


def test_a_right_to_left_models_attention_is_in_the_order_of_its_text():
    """Each row's source is the one that stepping through the reversed words gives."""
    forward = attending(4)
    entry = SEARCHES.get("greedy")
    search = entry.build(entry.config_type(max_len_a=0, max_len_b=5, min_len=3))
    backward = attending(4)
    backward.target = replace(backward.target, right_to_left=True)
    (made,) = translate(backward, search, [["a b c d"]], None, False)
    (best,) = made.hypotheses
    ids = backward.target.vocabulary.encode(made.words[0])
    state = forward.start(source_batch([forward.source.ids(["a", "b", "c", "d"])]))
    rows = []
    for word in [BOS_ID, *ids[::-1]]:
        step = forward.step(torch.tensor([word]), state)
        rows.append(step.attention[0].numpy())
        state = step.state
    expected = [*rows[:-1][::-1], rows[-1]]
    np.testing.assert_allclose(best.attention, expected, rtol=0, atol=1e-6)
    assert not np.allclose(best.attention, rows, atol=1e-3)
