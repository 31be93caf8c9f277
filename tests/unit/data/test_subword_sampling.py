"""Subword regularization: draws spell the text, repeat themselves, and follow the probabilities."""

import io
import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from subword_nmt import apply_bpe

from s2st.data.batch_loader import TrainingLoader
from s2st.data.batch_planner import BatchingConfig
from s2st.data.parallel_corpus import ParallelCorpus, Side
from s2st.data.subword_sampling import (
    SampledSide,
    SideSampler,
    SubwordSamplingConfig,
    sampled_corpus,
)
from s2st.errors import UsageError
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.subword_draws import BpeDraws, words_of
from s2st.text.subword_nmt_tokenizer import train_subword_nmt
from s2st.text.tokenizers import (
    CharactersConfig,
    NoneConfig,
    SentencePieceConfig,
    SubwordNmtConfig,
    TokenizerSpec,
)
from s2st.text.vocabulary import UNK_ID, Vocabulary

CORPUS = [
    f"the {adjective} {noun}s {verb} in the {place}, isn't it?"
    for adjective in ("old", "older", "lowest", "newest")
    for noun in ("Katze", "flower", "tower", "caf\u00e9")
    for verb in ("slept", "sleep", "wandered")
    for place in ("garden", "\u5bb6", "\ud55c\uad6d\uc5b4")
]
HOSTILE = [
    "the \u9f98\u9f98 lowest\u9ea4 tower",
    "e\u0301te\u0301 \u2028 x", "\U0001f600 caf\u00e9 \u2460\ufb01",
    "@@ old@@ <unk> </s>", "\u2581\u2581 the", "",
]  # fmt: skip

KINDS = ("unigram", "bpe", "subword-nmt")


def spec_of(kind: str) -> TokenizerSpec:
    if kind == "subword-nmt":
        config = SubwordNmtConfig(bpe_merges=120)
        return TokenizerSpec(kind, config, "en", train_subword_nmt(CORPUS, config, "en"))
    pieces = SentencePieceConfig(sentencepiece_vocab_size=150, sentencepiece_model_type=kind)
    return TokenizerSpec("sentencepiece", pieces, "en", train_sentencepiece(CORPUS, pieces))


def side_of(spec: TokenizerSpec, lines: list[str]) -> tuple[Side, Vocabulary]:
    """A side as preprocess writes it: the vocabulary has the tokens of CORPUS."""
    tokenizer = spec.build()
    counts = Counter(token for line in CORPUS for token in tokenizer.encode(line))
    counts.update(dict.fromkeys(tokenizer.pieces() or tokenizer.further_tokens(tuple(counts)), 0))
    vocabulary = Vocabulary.build(counts)
    rows = [vocabulary.encode(tokenizer.encode(line)) for line in lines]
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    ids = np.array([i for row in rows for i in row], dtype=np.int32)
    return Side(ids, offsets, len(vocabulary)), vocabulary


@pytest.fixture(scope="module", params=KINDS)
def spec(request) -> TokenizerSpec:
    return spec_of(request.param)


def sampled(spec: TokenizerSpec, lines: list[str], seed: int = 1, **options) -> Side:
    side, vocabulary = side_of(spec, lines)
    config = SubwordSamplingConfig(subword_sampling=True, **options)
    chosen = SampledSide("target", spec, vocabulary)
    return sampled_corpus(ParallelCorpus(side, side), [chosen], config, seed).target


def test_draws_spell_the_same_text_and_know_as_much(spec):
    lines = [*CORPUS[:40], *HOSTILE]
    stored, vocabulary = side_of(spec, lines)
    side = sampled(spec, lines, unigram_alpha=0.1, bpe_dropout=0.3)
    tokenizer = spec.build()
    drawn = changed = 0
    for epoch in range(5):
        for index in range(len(lines)):
            before, after = stored[index], side.drawn(index, epoch)
            texts = [tokenizer.decode(vocabulary.decode(ids.tolist())) for ids in (before, after)]
            assert texts[0] == texts[1]
            assert np.count_nonzero(before == UNK_ID) == np.count_nonzero(after == UNK_ID)
            drawn += 1
            changed += before.tolist() != after.tolist()
    assert changed > drawn / 2
    # sentences with unknown words are drawn anew too
    odd = {tuple(side.drawn(40, epoch).tolist()) for epoch in range(20)}
    assert UNK_ID in stored[40]
    assert len(odd) > 3


def test_a_draw_is_a_function_of_seed_epoch_and_pair(spec):
    """It depends neither on what was drawn before nor on other generators."""
    first, second = sampled(spec, CORPUS), sampled(spec, CORPUS)
    rows = {(i, e): first.drawn(i, e).tolist() for e in range(3) for i in range(len(CORPUS))}
    order = [*rows]
    random.Random(3).shuffle(order)
    random.seed(99)
    expected = random.random()
    random.seed(99)
    assert {key: second.drawn(*key).tolist() for key in order} == rows
    assert random.random() == expected
    other = sampled(spec, CORPUS, seed=2)
    different = sum(other.drawn(*key).tolist() != row for key, row in rows.items())
    assert different > len(rows) / 3
    epochs = sum(rows[i, 0] != rows[i, 1] for i in range(len(CORPUS)))
    assert epochs > len(CORPUS) / 3


def test_without_strength_the_stored_segmentation_comes_back(spec):
    """Dropout 0 leaves out no merge; a large exponent nearly always takes the best pieces."""
    stored, _ = side_of(spec, CORPUS)
    side = sampled(spec, CORPUS, unigram_alpha=100, bpe_dropout=0)
    rows = range(len(CORPUS))
    same = sum(side.drawn(index, 1).tolist() == stored[index].tolist() for index in rows)
    unigram = spec.config == replace(SentencePieceConfig(), sentencepiece_vocab_size=150)
    assert same >= len(CORPUS) * (0.9 if unigram else 1)


def test_unigram_draws_follow_the_models_probabilities():
    """Kudo 2018, equation 8, with all segmentations of a word enumerated here."""
    spec = spec_of("unigram")
    processor = sentencepiece.SentencePieceProcessor(model_proto=spec.model)
    word, alpha = "\u2581tower", 0.5
    scores = {processor.id_to_piece(i): processor.get_score(i) for i in range(3, len(processor))}

    def splits(text: str) -> list[tuple[str, ...]]:
        if not text:
            return [()]
        heads = [text[:n] for n in range(1, len(text) + 1) if text[:n] in scores]
        return [(head, *rest) for head in heads for rest in splits(text[len(head) :])]

    weights = {split: math.exp(alpha * sum(map(scores.get, split))) for split in splits(word)}
    total = sum(weights.values())
    tokenizer = spec.build()
    stored = tokenizer.encode("tower")
    draws = 3000
    counts = Counter(tuple(tokenizer.resample(stored, bool, s, alpha, 0.0)) for s in range(draws))
    assert set(counts) <= set(weights)
    distance = sum(abs(counts[s] / draws - w / total) for s, w in weights.items()) / 2
    assert distance < 0.05


def test_dropout_by_hand():
    """Provilkov et al. 2020, algorithm 1: of the only merge, a share of `dropout` is left out."""
    draws = BpeDraws({"a": -3.0, "b": -4.0, "ab": -1.0})
    generator = random.Random(1)
    parted = sum(draws.draw("ab", 0.3, generator) == ["a", "b"] for _ in range(4000))
    assert parted / 4000 == pytest.approx(0.3, abs=0.03)
    assert draws.draw("abab", 1.0, generator) == ["a", "b", "a", "b"]
    assert draws.plain("abab") == draws.draw("abab", 0.0, generator) == ["ab", "ab"]


def test_all_merges_give_what_sentencepiece_gives():
    spec = spec_of("bpe")
    processor = sentencepiece.SentencePieceProcessor(model_proto=spec.model)
    draws = BpeDraws({processor.id_to_piece(i): processor.get_score(i) for i in range(3, 150)})
    for line in CORPUS:
        expected = processor.encode(line, out_type=str)
        words = words_of("".join(expected))
        assert [piece for word in words for piece in draws.plain(word)] == expected


def test_pieces_that_cross_words_are_drawn_too():
    pieces = SentencePieceConfig(sentencepiece_vocab_size=150)
    output = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=output, vocab_size=450, minloglevel=3,
        split_by_whitespace=False, user_defined_symbols=["tower"], byte_fallback=True,
        hard_vocab_limit=False, required_chars="", num_threads=1,
    )  # fmt: skip
    spec = TokenizerSpec("sentencepiece", pieces, "en", output.getvalue())
    tokenizer = spec.build()
    assert any("\u2581" in piece[1:] for piece in tokenizer.pieces())
    line = "the old towers slept \u9f98 in the garden"
    stored = tokenizer.encode(line)
    assert "tower" in stored
    assert "<0xE9>" in stored
    draws = [tokenizer.resample(stored, bool, seed, 0.2, 0.1) for seed in range(50)]
    assert len({*map(tuple, draws)}) > 4
    for draw in draws:
        assert tokenizer.decode(draw) == tokenizer.decode(stored)
        assert "tower" in draw


def test_bpe_dropout_is_that_of_the_package():
    spec = spec_of("subword-nmt")
    tokenizer = spec.build()
    for seed, line in enumerate(CORPUS[:20]):
        random.seed(seed)
        expected = apply_bpe.BPE(io.StringIO(spec.model.decode())).segment_tokens(
            line.split(" "), 0.3
        )
        assert tokenizer.resample(tokenizer.encode(line), bool, seed, 0.0, 0.3) == expected
        # the package would now return its draws from its cache
        assert tokenizer.encode(line) == spec.build().encode(line)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30))
def test_any_text_can_be_drawn(spec, text):
    side, vocabulary = side_of(spec, [text])
    config = SubwordSamplingConfig(subword_sampling=True)
    sampler = SideSampler(spec.build(), vocabulary, config, "target", 1)
    tokenizer = spec.build()
    drawn = sampler.draw(0, 0, side[0])
    texts = [tokenizer.decode(vocabulary.decode(ids.tolist())) for ids in (side[0], drawn)]
    assert texts[0] == texts[1]


def test_the_loader_counts_and_loads_what_is_drawn(spec):
    target = sampled(spec, CORPUS)
    stored, _ = side_of(spec, CORPUS)
    corpus = ParallelCorpus(stored, target)
    loader = TrainingLoader(corpus, BatchingConfig(batch_size=7), seed=1)
    assert [b.tolist() for b in loader.plan(1)] == [
        b.tolist()
        for b in TrainingLoader(
            ParallelCorpus(stored, stored), BatchingConfig(batch_size=7), 1
        ).plan(1)
    ]
    rows = np.array([5, 3, 11])
    batch = loader.load(rows, 1)
    counts = loader.token_counts(rows, 1)
    assert counts == (int(batch.source.lengths.sum()), batch.target_tokens)
    for row, index in enumerate(rows.tolist()):
        length = int(batch.target_lengths[row]) - 1
        assert batch.target_out[row, :length].tolist() == target.drawn(index, 1).tolist()
    reverse = TrainingLoader(corpus.with_targets_reversed(), BatchingConfig(), seed=1)
    turned = reverse.load(rows, 1)
    for row, index in enumerate(rows.tolist()):
        length = int(turned.target_lengths[row]) - 1
        assert turned.target_out[row, :length].tolist() == target.drawn(index, 1)[::-1].tolist()


@pytest.mark.parametrize(
    "spec",
    [
        TokenizerSpec("none", NoneConfig(), "en"),
        TokenizerSpec("characters", CharactersConfig(), "en"),
        spec_of("char"),
        spec_of("word"),
    ],
    ids=["none", "characters", "char", "word"],
)
def test_tokenizers_with_one_segmentation_are_refused(spec):
    with pytest.raises(UsageError, match=r"sentencepiece .* or subword-nmt"):
        sampled(spec, CORPUS)
