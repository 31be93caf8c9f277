"""Warnings about text that does not suit a model: given when true, and only then."""

import pytest

from s2st.rescoring.text_mismatch_check import CHANGES, UnknownWords, escape, is_ordinary, unescape
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.tokenizers import MosesConfig, NoneConfig, SentencePieceConfig, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

PLAIN = [
    *[
        "the",
        "old",
        "cat",
        "of",
        "paris",
        "saw",
        "a",
        "dog",
        "in",
        "france",
        "and",
        "the",
        "dog",
        "saw",
        "it",
    ]
]
CASED = [
    *[
        "The",
        "old",
        "cat",
        "of",
        "Paris",
        "saw",
        "a",
        "dog",
        "in",
        "France",
        "and",
        "The",
        "dog",
        "saw",
        "it",
    ]
]
ESCAPED = ["the", "cat", "&apos;s", "&quot;", "&amp;", "dog"]
RAW = ["the", "cat", "'s", '"', "&", "dog"]
KOREAN = ["고양이가", "집에서", "잔다", "강아지가", "숲에서", "뛴다"]
HUNDRED_CAPITALS = [f"Name{i}x" for i in range(130)]
MARKS = ["<0xE4>", "<MASK>", "[SEP]", "__FR__", "@NUM@", "%NAME%", "\u2581<2EN>"]

NONE = TokenizerSpec("none", NoneConfig(), "en").build()

# vocabulary, text, part of the advice or None where there is to be a plain question
TABLE = {
    "cased text, lower-cased model": (PLAIN, CASED, "lowercase the text"),
    "the same with marks in the vocabulary": ([*PLAIN, *MARKS], CASED, "lowercase the text"),
    "text in capitals, lower-cased model": (
        PLAIN,
        [w.upper() for w in CASED],
        "lowercase the text",
    ),
    "text in capitals, cased model": (CASED, [w.upper() for w in CASED], "all uppercase"),
    "a model with some capitals": ([*PLAIN, *HUNDRED_CAPITALS], CASED, None),
    "a model with one capital": ([*PLAIN, "Zurich"], CASED, None),
    "lower-cased text, cased model": (CASED, [w.lower() for w in CASED], "text is lowercased"),
    "lower-cased text, lower-cased model": (PLAIN, ["new", "words", "here"], None),
    "unknown names, cased model": (CASED, ["The", "Zorg", "Blarg"], None),
    "capitals that stay unknown": (PLAIN, ["Zorg", "Blarg", "the"], None),
    "Korean text, Korean model": (KOREAN, ["토끼가", "산에서", "운다"], None),
    "names in Korean text, a model with a word of Latin": (
        [*KOREAN, "ubuntu"],
        ["Ubuntu", "집에서"],
        None,
    ),
    "Korean text, lower-cased English model": (PLAIN, KOREAN, None),
    "Turkish capitals": (["istanbul", "ve", "izmir"], ["İSTANBUL", "ve"], None),
    "Greek": (["οδος", "και", "πολη"], ["Και", "Πολη"], "lowercase the text"),
    "escaped text, plain model": (RAW, ESCAPED, "text has Moses escapes"),
    "plain text, escaped model": (ESCAPED, RAW, "training text has Moses escapes"),
    "text escaped twice": (ESCAPED, ["&amp;apos;s", "&amp;quot;", "the"], "text has Moses escapes"),
    "escapes that stay unknown": (["the", "cat"], ["&quot;", "&apos;s", "the"], None),
    "both sorts in the model": (
        [*RAW, "&apos;"],
        ["&apos;s", "&quot;", "the"],
        "text has Moses escapes",
    ),
    "other tokens": (PLAIN, ["thecat", "olddog", "the"], None),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("cut", [False, True])
def test_advice_by_word(name, cut):
    vocabulary, text, part = TABLE[name]
    words = list(dict.fromkeys(vocabulary))
    unknown = UnknownWords(Vocabulary(words, [1] * len(words)), NONE)
    unknown.add(text, " ".join(text) if cut else None)
    warning = unknown.warning("the input")
    share = sum(word not in words for word in text) / len(text)
    assert warning.startswith(f"{share:.1%} of the words of the input are unknown to the model")
    if part is None:
        assert "check that it is tokenized like the model's training text" in warning
    else:
        assert part in warning
    given = [change.advice for change in CHANGES.values() if change.advice in warning]
    assert len(given) == (part is not None)


def test_known_text_is_not_warned_about():
    unknown = UnknownWords(Vocabulary(PLAIN[:9], [1] * 9), NONE)
    unknown.add([*PLAIN[:9]] * 10 + ["New", "York"])
    assert unknown.warning("the input") is None


ENGLISH = [" ".join(PLAIN[i:] + PLAIN[:i]) for i in range(len(PLAIN))]


def pieces(lines, **options):
    config = SentencePieceConfig(sentencepiece_vocab_size=60, **options)
    model = train_sentencepiece(lines, config)
    tokenizer = TokenizerSpec("sentencepiece", config, "en", model).build()
    return tokenizer, tokenizer.pieces()


@pytest.mark.parametrize(
    ("lines", "text", "part"),
    [
        (ENGLISH, "THE OLD CAT OF PARIS", "lowercase the text"),
        ([*ENGLISH, "Zoé went to Rome"], "THE OLD CAT OF PARIS", "all uppercase"),
        ([*ENGLISH, "Zoé went to Rome", "The X Y Z"], "QUX JFK", None),
        (ENGLISH, "고양이가 집에서 잔다 뛴다", None),
        ([*ENGLISH, "it's the dog"], "it&apos;s &quot;the dog&quot; &amp;", "Moses escapes"),
        ([*ENGLISH, 'it\'s "the" dog & cat'], "it&apos;s &quot;the&quot; &amp;", "Moses escapes"),
        ([" ".join(KOREAN)] * 3, "THE OLD CAT", None),
    ],
)
def test_advice_by_piece(lines, text, part):
    tokenizer, own = pieces(lines, sentencepiece_coverage=1.0)
    unknown = UnknownWords(Vocabulary(own, [1] * len(own)), tokenizer)
    unknown.add(tokenizer.encode(text), text)
    warning = unknown.warning("the input")
    if part is None:
        assert "language and script" in warning
    else:
        assert part in warning


def test_a_tokenizer_that_lowercases_has_no_cased_text():
    tokenizer, own = pieces(ENGLISH, lowercase=True)
    unknown = UnknownWords(Vocabulary(own, [1] * len(own)), tokenizer)
    unknown.add(tokenizer.encode("THE OLD CAT OF PARIS"), "THE OLD CAT OF PARIS")
    assert unknown.warning("the input") is None


def test_text_that_was_tokenized_by_moses_before():
    tokenizer = TokenizerSpec("moses", MosesConfig(), "en").build()
    words = ["it", "&apos;s", "the", "cat"]
    unknown = UnknownWords(Vocabulary(words, [1] * 4), tokenizer)
    unknown.add(tokenizer.encode("it &apos;s the cat"), "it &apos;s the cat")
    assert "Moses escapes" in unknown.warning("the input")


def test_escapes_are_those_of_moses():
    """The signs of escape-special-chars.perl."""
    plain = "a|b<c>d'e\"f[g]h&i"
    escaped = "a&#124;b&lt;c&gt;d&apos;e&quot;f&#91;g&#93;h&amp;i"
    assert (escape(plain), unescape(escaped)) == (escaped, plain)
    assert unescape("&amp;apos;") == "&apos;"


def test_marks_are_not_ordinary_words():
    assert not any(map(is_ordinary, MARKS))
    assert all(map(is_ordinary, ["The", "\u2581The", "(The", "U.S.", "<", "<3", "A", "'Hi'", "_"]))
