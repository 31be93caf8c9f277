"""Subword tokenizers against the packages themselves, with text that is meant to break them."""

import io
import json
import random
import re
import sys

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from subword_nmt import apply_bpe, learn_bpe

from s2st.errors import ConfigError, DataError, UsageError
from s2st.text.huggingface_tokenizer import train_byte_bpe
from s2st.text.line_files import split_words
from s2st.text.subword_nmt_tokenizer import LONGEST, train_subword_nmt
from s2st.text.tokenizers import (
    CharactersConfig,
    HuggingFaceConfig,
    MosesConfig,
    SubwordNmtConfig,
    Tokenizer,
    TokenizerSpec,
)
from s2st.text.vocabulary import SPECIALS

CORPUS = [
    f"the {adjective} {noun}s {verb} in the {place} , nicht wahr ?"
    for adjective in ("old", "older", "lowest", "newest")
    for noun in ("Katze", "flower", "tower", "caf\u00e9")
    for verb in ("slept", "sleep", "wandered")
    for place in ("garden", "\u5bb6", "\ud55c\uad6d\uc5b4")
]
HOSTILE = [
    "",
    "   ",
    " the  lowest\ttower ",
    "the\u2028lowest tower\u2029",
    "no\u00a0break\u3000wide \u0085 next",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7",
    "e\u0301te\u0301 a\u0308\u0323 \u0915\u094d\u0937",
    "@@ a@@ @@b <unk> <s> </s> <pad> \u2581x </w>",
    "\x00\x01 a\rb \x0b\x0c",
    "\ufeffBOM \ufffd \u202eright",
    "lowest" * 3,
]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)


def make(name: str, config: object, model: bytes | None = None, language: str = "en") -> Tokenizer:
    return TokenizerSpec(name, config, language, model).build()


def learned(merges: int) -> bytes:
    """Codes learned by the package from plain text, not from our counts."""
    output = io.StringIO()
    learn_bpe.tqdm = lambda rounds: rounds
    learn_bpe.learn_bpe(io.StringIO("\n".join(CORPUS) + "\n"), output, merges)
    return output.getvalue().encode()


@pytest.fixture(scope="module")
def codes() -> bytes:
    return learned(60)


@pytest.fixture(scope="module")
def byte_bpe() -> bytes:
    return train_byte_bpe(CORPUS, HuggingFaceConfig(byte_bpe_vocab_size=300), "en")


# subword-nmt


@settings(max_examples=80, deadline=None)
@given(text=TEXT)
@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_subword_nmt_agrees_with_the_package(codes, version, text):
    model = codes.replace(b"0.2", version.encode())
    ours = make("subword-nmt", SubwordNmtConfig(), model)
    theirs = apply_bpe.BPE(io.StringIO(model.decode()))
    for line in (text, *HOSTILE):
        plain = " ".join(split_words(line))  # the package knows no other white space than blanks
        assert " ".join(ours.encode(line)) == theirs.process_line(plain)


def package_joins(text: str) -> str:
    """As the README of subword-nmt says: sed -r 's/(@@ )|(@@ ?$)//g'."""
    return re.sub(r"(@@ )|(@@ ?$)", "", text)


@settings(max_examples=80, deadline=None)
@given(text=TEXT)
@example(text="a@@ b")
@example(text="@@")
def test_subword_nmt_joins_as_the_package_says(codes, text):
    tokenizer = make("subword-nmt", SubwordNmtConfig(), codes)
    for line in (text, *HOSTILE):
        tokens = tokenizer.encode(line)
        assert tokenizer.decode(tokens) == package_joins(" ".join(tokens))
        if not any(word.endswith("@@") for word in split_words(line)):
            assert tokenizer.decode(tokens) == " ".join(split_words(line))


def test_subword_nmt_by_hand():
    tokenizer = make("subword-nmt", SubwordNmtConfig(), b"#version: 0.2\nl o\nlo w\ne r</w>\n")
    # a final w is another symbol than w within a word, so only `lower` has `low`
    assert tokenizer.encode("lower low slow") == ["low@@", "er", "lo@@", "w", "s@@", "lo@@", "w"]
    assert tokenizer.decode(["low@@", "er", "low@@"]) == "lower low"
    lower = make("subword-nmt", SubwordNmtConfig(lowercase=True), b"#version: 0.2\nl o\nlo w\n")
    assert lower.encode("LOWX") == ["low@@", "x"]


def test_subword_nmt_after_moses(codes):
    config = SubwordNmtConfig(bpe_words="moses")
    tokenizer = make("subword-nmt", config, codes)
    moses = make("moses", MosesConfig())
    line = "The lowest tower, isn't it?"
    words = package_joins(" ".join(tokenizer.encode(line))).split(" ")
    assert words == moses.encode(line)
    assert tokenizer.decode(tokenizer.encode(line)) == line
    assert make("subword-nmt", config, codes, "xx").remarks()


def test_what_preprocess_learns_is_what_the_package_learns():
    config = SubwordNmtConfig(bpe_merges=60)
    assert train_subword_nmt(iter(CORPUS), config, "en") == learned(60)


def test_learning_from_hostile_text_ends(caplog):
    model = train_subword_nmt(iter([*HOSTILE, *CORPUS]), SubwordNmtConfig(bpe_merges=9999), "en")
    assert "not --bpe-merges 9999" in caplog.text
    make("subword-nmt", SubwordNmtConfig(), model)
    with pytest.raises(DataError, match="en: there is too little text"):
        train_subword_nmt(iter(["a b c", ""]), SubwordNmtConfig(), "en")


def test_a_very_long_word_takes_linear_time(codes):
    tokenizer = make("subword-nmt", SubwordNmtConfig(), codes)
    word = "lowest\u5bb6" * 30_000  # the package would need minutes
    tokens = tokenizer.encode(f"the {word} tower")
    assert tokenizer.decode(tokens) == f"the {word} tower"
    short = word[:LONGEST]
    assert make("subword-nmt", SubwordNmtConfig(), codes).encode(short) == apply_bpe.BPE(
        io.StringIO(codes.decode())
    ).segment_tokens([short])


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (b"", "no merges"),
        (b"#version: 0.2\n", "no merges"),
        (b"#version: 0.3\na b\n", "line 1: version '0.3'"),
        (b"#version: x\na b\n", "line 1: version 'x'"),
        (b"#version: 0.2\na b\nc\n", "line 3: expected two symbols"),
        (b"a b\na b c\n", "line 2: expected two symbols"),
        (b"e n 120\n", "looks like fastBPE"),
        (b"\xff\xfe", "not UTF-8 at byte 1"),
        (b"\x00" * 50, "not a text file"),
        (b'{"model": {"type": "BPE"}}', "line 1"),
    ],
)
def test_a_codes_file_that_is_none(model, part, capfd):
    with pytest.raises(ConfigError, match=re.escape(part)):
        make("subword-nmt", SubwordNmtConfig(), model)
    assert capfd.readouterr().err == ""  # the package would print, and leave the program


# characters


@settings(max_examples=80, deadline=None)
@given(text=TEXT)
def test_characters_are_code_points(text):
    tokenizer = make("characters", CharactersConfig())
    for line in (text, *HOSTILE):
        words = split_words(line)
        tokens = tokenizer.encode(line)
        assert len(tokens) == sum(map(len, words)) + max(0, len(words) - 1)
        if "\u2581" not in line:
            assert tokenizer.decode(tokens) == " ".join(words)
    assert make("characters", CharactersConfig(lowercase=True)).encode("A b") == [
        "a",
        "\u2581",
        "b",
    ]


# Hugging Face


@settings(max_examples=80, deadline=None)
@given(text=TEXT)
def test_byte_level_bpe_is_what_the_package_reads_from_the_file(byte_bpe, text):
    ours = make("huggingface", HuggingFaceConfig(), byte_bpe)
    theirs = tokenizers.Tokenizer.from_str(byte_bpe.decode())
    known = {*ours.pieces()}
    for line in (text, *HOSTILE):
        encoding = theirs.encode(line, add_special_tokens=False)
        assert ours.encode(line) == encoding.tokens
        assert ours.decode(encoding.tokens) == theirs.decode(encoding.ids)
        assert ours.decode(ours.encode(line)) == " ".join(split_words(line))
        assert known.issuperset(encoding.tokens)  # bytes are never unknown


def test_training_byte_level_bpe_repeats_itself(byte_bpe, caplog):
    config = HuggingFaceConfig(byte_bpe_vocab_size=300)
    assert train_byte_bpe(iter(CORPUS), config, "en") == byte_bpe
    assert len(json.loads(byte_bpe)["model"]["vocab"]) == 300
    many = HuggingFaceConfig(byte_bpe_vocab_size=50_000)
    train_byte_bpe(iter(CORPUS), many, "en")
    assert "not --byte-bpe-vocab-size 50000" in caplog.text
    with pytest.raises(DataError, match="en: there is no text"):
        train_byte_bpe(iter(["", " "]), config, "en")


def word_piece() -> tokenizers.Tokenizer:
    """A tokenizer with special tokens, a template, truncation and padding, as BERT's."""
    pieces = ["[UNK]", "[CLS]", "[SEP]", "the", "low", "##est", "<s>", "x"]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.decoder = tokenizers.decoders.WordPiece()
    made.add_special_tokens(["[CLS]", "[SEP]"])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    made.enable_truncation(2)
    made.enable_padding(length=9)
    return made


def test_only_the_pieces_of_a_tokenizer_file_are_used():
    tokenizer = make("huggingface", HuggingFaceConfig(), word_piece().to_str().encode())
    assert tokenizer.pieces() == ["the", "low", "##est", "x"]
    assert not {*SPECIALS, "[UNK]", "[CLS]"} & {*tokenizer.pieces()}
    assert tokenizer.encode("the lowest x the x") == ["the", "low", "##est", "x", "the", "x"]
    tokens = tokenizer.encode("the \u9f98\u2028y lowest [UNK]")  # unknown words stay readable
    assert tokens == ["the", "\u9f98", "y", "low", "##est", "[UNK]"]
    assert tokenizer.decode(tokens) == "the \u9f98 y lowest [UNK]"


def test_pieces_with_white_space_fit_the_dictionary():
    vocabulary = {"a": 0, "b": 1, " ": 2, "a ": 3, "\t": 4}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [("a", " ")]))
    made.decoder = tokenizers.decoders.Fuse()
    tokenizer = make("huggingface", HuggingFaceConfig(), made.to_str().encode())
    tokens = tokenizer.encode("a b\ta")
    assert tokens == ["a\u2420", "b", "\u2409", "a"]
    assert {*tokens} <= {*tokenizer.pieces()}
    assert tokenizer.decode(tokens) == "a b\ta"
    clash = tokenizers.Tokenizer(tokenizers.models.BPE({"a ": 0, "a\u2420": 1}, []))
    with pytest.raises(ConfigError, match="differ only in white space"):
        make("huggingface", HuggingFaceConfig(), clash.to_str().encode())


def test_dropout_of_a_tokenizer_file_is_off():
    made = tokenizers.Tokenizer.from_str(
        train_byte_bpe(CORPUS, HuggingFaceConfig(byte_bpe_vocab_size=300), "en").decode()
    )
    made.model.dropout = 0.9
    tokenizer = make("huggingface", HuggingFaceConfig(), made.to_str().encode())
    assert len({tuple(tokenizer.encode(CORPUS[0])) for _ in range(20)}) == 1


@pytest.mark.parametrize(
    "model", [b"", b"{}", b"[]", b"\xff", b"\x80\x04.", b'{"model": 1}', b"nul"]
)
def test_a_tokenizer_file_that_is_none(model):
    with pytest.raises(ConfigError, match=r"not a tokenizer\.json"):
        make("huggingface", HuggingFaceConfig(), model)


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("subword_nmt.apply_bpe", "subword-nmt", SubwordNmtConfig()),
        ("tokenizers", "huggingface", HuggingFaceConfig()),
    ],
)
def test_a_missing_package_is_named(module, name, config, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=re.escape(f"pip install 's2st[{name}]'")):
        make(name, config, b"#version: 0.2\na b\n")


def test_pythons_random_numbers_are_left_alone(codes):
    random.seed(5)
    expected = random.random()
    random.seed(5)
    make("subword-nmt", SubwordNmtConfig(), codes).encode("the lowest tower")
    assert random.random() == expected
