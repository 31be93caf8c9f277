"""Tests of the tokenizers."""

import hashlib
import re
from dataclasses import replace
from functools import cache

import pytest
import sacremoses
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s2st.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    InputMissingError,
    S2STError,
    UsageError,
)
from s2st.text.huggingface_tokenizer import train_byte_bpe
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.tokenizer_files import load_spec, read_model, save_models
from s2st.text.tokenizers import (
    TOKENIZERS,
    CharactersConfig,
    HuggingFaceConfig,
    MosesConfig,
    NoneConfig,
    SentencePieceConfig,
    SubwordNmtConfig,
    Tokenizer,
    TokenizerSpec,
    absent_side,
)

BYTES = HuggingFaceConfig(byte_bpe_vocab_size=300)
ASCII_SPACE = set(" \t\n\r\f\v")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=40)
SENTENCES = [
    "The cat's on the mat, isn't it?",
    "Prices rose by 3.5% in 2014 - again (twice).",
    'He said: "no & never" <b>today</b> | [x]',
    "A well-known U.S. company, e.g. Acme Inc., closed.",
]
CORPUS = [f"the {a} cat {b} on the {c} mat" for a in "abc" for b in ("sat", "ate") for c in "xyz"]


def make(name: str, config: object, language: str = "en", model: bytes | None = None) -> Tokenizer:
    return TokenizerSpec(name, config, language, model).build()


@pytest.fixture(scope="module")
def model() -> bytes:
    return train_sentencepiece(CORPUS, SentencePieceConfig(sentencepiece_vocab_size=40))


@pytest.fixture(scope="module")
def every(model) -> list[Tokenizer]:
    return [
        make("none", NoneConfig()),
        make("none", NoneConfig(lowercase=True)),
        make("moses", MosesConfig()),
        make("moses", MosesConfig(lowercase=True, moses_escape=False)),
        make("sentencepiece", SentencePieceConfig(), model=model),
        make("characters", CharactersConfig()),
        make("subword-nmt", SubwordNmtConfig(), model=b"#version: 0.2\nt h\nth e</w>\nc a\n"),
        make("huggingface", HuggingFaceConfig(), model=train_byte_bpe(CORPUS, BYTES, "en")),
    ]


def test_every_registered_tokenizer_is_tested_here(every):
    assert set(TOKENIZERS.names()) == {
        "none", "moses", "sentencepiece", "nothing", "characters", "subword-nmt", "huggingface",
        "vectors",
    }  # fmt: skip


def test_the_tokenizer_of_an_absent_side_gives_no_tokens():
    tokenizer = absent_side().build()
    assert tokenizer.absent
    assert not any(other.absent for other in (make("none", NoneConfig()),))
    for line in ("", "a b", "\u2028 x"):
        assert tokenizer.encode(line) == []
    assert tokenizer.decode(["a"]) == ""


@settings(max_examples=60, deadline=None)
@given(text=TEXT)
@example(text="a\u00a0b\u2028c\u0085d\u3000e\x1cf\tg\rh")
@example(text=" \t ")
@example(text="a\x00b")
@example(text="\u2581 a")
def test_tokens_hold_no_ascii_space_and_text_no_newline(every, text):
    for tokenizer in every:
        tokens = tokenizer.encode(text)
        assert all(tokens), tokenizer  # none is empty
        assert not any(ASCII_SPACE & set(token) for token in tokens)
        assert "\n" not in tokenizer.decode(tokens)


def test_none_keeps_words_as_they_are():
    tokenizer = make("none", NoneConfig())
    assert tokenizer.encode("  Le\tchat , d'\u00a0ici ") == ["Le", "chat", ",", "d'\u00a0ici"]
    assert tokenizer.decode(["Le", "chat"]) == "Le chat"
    assert make("none", NoneConfig(lowercase=True)).encode("Le \u00c9t\u00e9") == [
        "le",
        "\u00e9t\u00e9",
    ]


@pytest.mark.parametrize("escape", [True, False])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_moses_agrees_with_sacremoses(escape, language):
    ours = make("moses", MosesConfig(moses_escape=escape), language)
    theirs = sacremoses.MosesTokenizer(lang=language)
    back = sacremoses.MosesDetokenizer(lang=language)
    for sentence in [*SENTENCES, "L'\u00e9t\u00e9 d'ici, n'est-ce pas ?"]:
        tokens = theirs.tokenize(sentence, escape=escape)
        assert ours.encode(sentence) == tokens
        assert ours.decode(tokens) == back.detokenize(tokens)


def test_moses_by_hand():
    assert make("moses", MosesConfig()).encode("It's 5 o'clock, Tom & co.") == (
        ["It", "&apos;s", "5", "o", "&apos;clock", ",", "Tom", "&amp;", "co", "."]
    )
    dashes = make("moses", MosesConfig(moses_aggressive_dashes=True))
    assert dashes.encode("well-known") == ["well", "@-@", "known"]


@pytest.mark.parametrize("sentence", SENTENCES[:1])
def test_moses_round_trip(sentence):
    tokenizer = make("moses", MosesConfig())
    assert tokenizer.decode(tokenizer.encode(sentence)) == sentence


@pytest.mark.parametrize(
    ("text", "tokens", "back"),
    [
        ("Smith vs.", ["Smith", "vs."], "Smith vs."),  # the newest Moses: vs .
        ("in the U.S.", ["in", "the", "U.S."], "in the U.S."),  # the newest Moses: U.S .
        ("9' x 12'", ["9", "&apos;", "x", "12&apos;"], "9 'x 12'"),  # Moses too
        ("\u4e2d\u56fd", ["\u4e2d", "\u56fd"], "\u4e2d\u56fd"),  # Moses: one token
    ],
)
def test_what_the_guide_says_of_moses(text, tokens, back):
    tokenizer = make("moses", MosesConfig())
    assert tokenizer.encode(text) == tokens
    assert tokenizer.decode(tokens) == back


# characters and words by which tokenizers work, or that they might take for their own
NASTY = st.lists(
    st.sampled_from(
        [
            *" \t\u00a0\u2028\u3000\x00\x1f\x85.,'\"`&;:@-|<>[]()!?%$abZ9",
            *"\u20ac\u00ab\u201e\u201c\u2026\u00e9\u00df\ud55c\uae00\u4e2d\u6587\u304b\u0639\u05e9\u093f",
            *"\U0001f916\u0301\ufb01\u2460\u200b\ufeff\u00ad\u2581",
            *("n't", "vs.", "&apos;", "&amp;", "&#91;", "@-@", "...", "THISISPROTECTED000"),
            *("<unk>", "<s>"),
        ]
    )
    | st.characters(exclude_categories=["Cs"], exclude_characters="\n"),
    max_size=12,
).map("".join)
MOSES_LANGUAGES = st.sampled_from(["en", "fr", "ko", "zh", "fi", "xx"])


def solid(text: str) -> str:
    """A text without white space and ASCII control characters."""
    return "".join(one for one in text if not one.isspace() and one >= " ")


@settings(max_examples=300, deadline=None)
@given(
    text=NASTY, language=st.sampled_from(["en", "fr", "ko", "zh", "fi", "xx"]), escape=st.booleans()
)
def test_moses_loses_nothing_but_blanks_and_controls(text, language, escape):
    tokenizer = moses(language, escape)
    assert solid(tokenizer.decode(tokenizer.encode(text))) == solid(text)


@cache
def moses(language: str, escape: bool) -> Tokenizer:
    return make("moses", MosesConfig(moses_escape=escape), language)


WORD = st.text("abz\u00e9\u0439\u03b1", min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(WORD), language=st.sampled_from(["en", "fr", "ko", "xx"]))
def test_moses_keeps_the_blanks_between_words(words, language):
    tokenizer = moses(language, True)
    assert tokenizer.decode(tokenizer.encode("  ".join(words))) == " ".join(words)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text("\uac00\ud55c\uae00\ub9d0", min_size=1, max_size=4)))
def test_moses_keeps_korean_words_in_korean(words):
    tokenizer = moses("ko", True)
    assert tokenizer.encode(" ".join(words)) == words
    assert tokenizer.decode(words) == " ".join(words)


@settings(max_examples=200, deadline=None)
@given(text=NASTY)
def test_none_loses_nothing_but_ascii_blanks(text):
    plain, lower = make("none", NoneConfig()), make("none", NoneConfig(lowercase=True))
    for tokenizer, given_text in ((plain, text), (lower, text.lower())):
        back = tokenizer.decode(tokenizer.encode(text))
        assert back == " ".join(re.findall("[^ \t\n\r\f\v]+", given_text))


@settings(max_examples=300, deadline=None)
@given(text=NASTY)
def test_sentencepiece_loses_nothing_but_what_it_normalizes(model, text):
    """The library says what its normalization makes of a text; characters it lacks come back."""
    tokenizer = make("sentencepiece", SentencePieceConfig(), model=model)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    expected = processor.normalize(text).replace("\u2581", " ").strip(" ")
    assert tokenizer.decode(tokenizer.encode(text)) == expected


@pytest.mark.parametrize(
    ("language", "parts"),
    [
        ("en", []),
        ("fr", []),
        ("ko", []),
        ("yue", ["does not find the words"]),
        ("zh", ["does not find the words"]),
        ("ja", ["does not find the words"]),
        ("th", ["does not find the words", "rules for language 'th'"]),
        ("kor", ["rules for language 'kor'", "did you mean ko?"]),
        ("ko_KR", ["rules for language 'ko_KR'", "did you mean ko?"]),
        ("tok.fr", ["rules for language 'tok.fr'", "did you mean fr?"]),
        ("xx", ["rules for language 'xx': it uses those of English"]),
        ("", ["rules for language ''"]),
    ],
)
def test_languages_that_moses_does_not_know_are_told(language, parts):
    remarks = make("moses", MosesConfig(), language).remarks()
    found = " ".join(remarks)
    assert bool(remarks) == bool(parts)
    for part in parts:
        assert part in found
    assert ("did you mean" in found) == any("did you mean" in part for part in parts)
    assert make("none", NoneConfig(), language).remarks() == []


def test_sentencepiece_round_trip(model):
    tokenizer = make("sentencepiece", SentencePieceConfig(), model=model)
    for line in CORPUS:
        pieces = tokenizer.encode(line)
        assert len(pieces) < len(line)
        assert tokenizer.decode(pieces) == line


def test_sentencepiece_agrees_with_the_library(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokenizer = make("sentencepiece", SentencePieceConfig(), model=model)
    for line in [*CORPUS, "a zebra \u00e9"]:
        assert tokenizer.encode(line) == processor.encode(line, out_type=str)


def test_sentencepiece_model_from_a_file_and_back(model, tmp_path):
    spec = TokenizerSpec("sentencepiece", SentencePieceConfig(), "fr", model)
    (name,) = save_models(tmp_path, [spec])
    assert read_model(str(tmp_path / name)) == model
    facts = {"size": len(model), "sha256": hashlib.sha256(model).hexdigest()}
    manifest = {"files": {name: facts}}
    assert load_spec(spec.record(), tmp_path, manifest) == spec
    assert load_spec(spec.record(), tmp_path, {"files": {}}).model is None  # no stranger is read
    (tmp_path / name).write_bytes(model[:-1])
    with pytest.raises(CheckpointError, match=name):
        load_spec(spec.record(), tmp_path, manifest)
    with pytest.raises(InputMissingError, match="cannot be read"):
        read_model(str(tmp_path / "none"))


def test_sentencepiece_without_a_usable_model():
    with pytest.raises(ConfigError, match="needs a model"):
        make("sentencepiece", SentencePieceConfig())
    for damaged in (b"", b"not a model", b"\x00" * 50):
        with pytest.raises(ConfigError, match="SentencePiece"):
            make("sentencepiece", SentencePieceConfig(), model=damaged)


def test_sentencepiece_needs_text():
    with pytest.raises(DataError, match="no text to train"):
        train_sentencepiece([], SentencePieceConfig(sentencepiece_vocab_size=40))


@pytest.mark.parametrize("config", [NoneConfig(lowercase=True), MosesConfig(moses_escape=False)])
def test_records_rebuild_the_spec(config, tmp_path):
    name = "none" if isinstance(config, NoneConfig) else "moses"
    spec = TokenizerSpec(name, config, "en")
    assert load_spec(spec.record(), tmp_path, {"files": {}}) == spec
    assert replace(spec, language="fr") != spec


RECORD = {"name": "none", "language": "en", "options": {}}


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "none",
        {},
        {**RECORD, "name": "mose"},
        {**RECORD, "name": ["none"]},
        {**RECORD, "name": None},
        {**RECORD, "language": 3},
        {**RECORD, "language": "../x"},
        {**RECORD, "options": None},
        {**RECORD, "options": []},
        {**RECORD, "options": {"lower": True}},
        {**RECORD, "options": {"lowercase": "yes"}},
    ],
)
def test_damaged_records_are_our_errors(record, tmp_path):
    with pytest.raises(S2STError) as caught:
        load_spec(record, tmp_path, {"files": {}})
    assert "\n" not in str(caught.value)


def test_unknown_tokenizers_are_named_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean moses"):
        TOKENIZERS.get("mosses")
