"""A prompt comes back as it was, and its continuation as the tokenizer joins it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2st.text.prompt_joining import with_prompt
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.tokenizers import MosesConfig, NoneConfig, SentencePieceConfig, TokenizerSpec

LINES = ["the cat sat on the mat , it 's here .", 'he said " no " and left', "l' un d' eux ."] * 3
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)


@pytest.fixture(scope="module")
def every():
    config = SentencePieceConfig(sentencepiece_vocab_size=50)
    model = train_sentencepiece(LINES, config)
    return [
        TokenizerSpec("none", NoneConfig(), "en").build(),
        TokenizerSpec("none", NoneConfig(lowercase=True), "en").build(),
        TokenizerSpec("moses", MosesConfig(), "en").build(),
        TokenizerSpec("moses", MosesConfig(lowercase=True), "fr").build(),
        TokenizerSpec("sentencepiece", config, "en", model).build(),
    ]


@settings(max_examples=100, deadline=None)
@given(prompt=TEXT, more=TEXT, before=st.booleans())
def test_the_prompt_is_there_unchanged(every, prompt, more, before):
    for tokenizer in every:
        own, new = tokenizer.encode(prompt), tokenizer.encode(more)
        text = with_prompt(tokenizer, prompt, own, new, before)
        assert text.endswith(prompt) if before else text.startswith(prompt)
        assert "\n" not in text
        rest = text[: len(text) - len(prompt)] if before else text[len(prompt) :]
        if not new:
            assert rest == ""
        if tokenizer is every[0]:
            assert rest.split() == " ".join(new).split()


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.lists(st.sampled_from(" ".join(LINES).split(" ")), min_size=1, max_size=9),
    cut=st.integers(0, 9),
)
def test_a_prompt_that_the_tokenizer_leaves_alone_is_joined_as_ever(every, tokens, cut):
    for tokenizer in every:
        own, new = tokens[:cut], tokens[cut:]
        prompt = tokenizer.decode(own)
        whole = tokenizer.decode(tokens)
        if whole.startswith(prompt):
            assert with_prompt(tokenizer, prompt, own, new) == whole


@pytest.mark.parametrize(
    ("name", "prompt", "new", "text"),
    [
        ("none", "Le  chat\t", ["dort", "."], "Le  chat\tdort ."),
        ("none", "Le chat", ["dort"], "Le chat dort"),
        ("none", "", ["dort"], "dort"),
        ("none", "  ", ["dort"], "  dort"),
        ("moses", "It's  5 o'clock", [",", "Tom"], "It's  5 o'clock, Tom"),
        ("moses", "&apos; & <b>", ["x"], "&apos; & <b> x"),
        ("moses", 'He said "', ["no", "&quot;"], 'He said "no"'),
        ("moses", "a \u00a0b", ["c", "."], "a \u00a0b c."),
        ("moses", "DON'T Stop ", ["&apos;s"], "DON'T Stop 's"),
    ],
)
def test_by_hand(name, prompt, new, text):
    config = NoneConfig() if name == "none" else MosesConfig()
    tokenizer = TokenizerSpec(name, config, "en").build()
    assert with_prompt(tokenizer, prompt, tokenizer.encode(prompt), new) == text


def test_the_rest_of_a_word_stands_without_a_blank(every):
    tokenizer = every[-1]
    own = tokenizer.encode("The  c\u2460 \u4e2d")
    for new, rest in ((["at"], "at"), (["\u2581the"], " the"), (["\u2581", "x"], " x")):
        text = with_prompt(tokenizer, "The  c\u2460 \u4e2d", own, new)
        assert text == "The  c\u2460 \u4e2d" + rest
