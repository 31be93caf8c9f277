"""Tests of the tokenisers."""

import hashlib
from dataclasses import replace

import pytest
import sacremoses
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
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.tokenizers import (
    TOKENIZERS,
    MosesConfig,
    NoneConfig,
    SentencePieceConfig,
    Tokenizer,
    TokenizerSpec,
    load_spec,
    nothing,
    read_model,
    save_models,
)

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
    ]


def test_every_registered_tokenizer_is_tested_here(every):
    assert set(TOKENIZERS.names()) == {"none", "moses", "sentencepiece", "nothing"}


def test_nothing_is_what_it_gives():
    tokenizer = nothing().build()
    assert tokenizer.silent
    assert not any(other.silent for other in (make("none", NoneConfig()),))
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


def test_sentencepiece_round_trip(model):
    tokenizer = make("sentencepiece", SentencePieceConfig(), model=model)
    for line in CORPUS:
        pieces = tokenizer.encode(line)
        assert len(pieces) < len(line)
        assert tokenizer.decode(pieces) == line


def test_sentencepiece_agrees_with_the_library(model):
    import sentencepiece

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
