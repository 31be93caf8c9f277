"""Tests of word alignments in Pharaoh format, and of words made of pieces."""

import pytest

from s2st.errors import DataError
from s2st.text.tokenizers import CharactersConfig, NoneConfig, TokenizerSpec
from s2st.text.word_alignments import joined_word, read_alignments, word_spans


def test_links_are_read_line_by_line(tmp_path):
    path = tmp_path / "links"
    path.write_text("0-0 1-2\t2-1 \n\n10-3\n")
    assert list(read_alignments(str(path))) == [((0, 0), (1, 2), (2, 1)), (), ((10, 3),)]


@pytest.mark.parametrize("text", ["0", "0-1-2", "a-b", "0-0,1-1", "-1-0", "1-1234567", "٣-٣"])
def test_what_is_no_link_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "links"
    path.write_text(f"0-0\n0-0 {text}\n")
    with pytest.raises(DataError, match=r"links, line 2: .*source-target"):
        list(read_alignments(str(path)))


def build(name, config, model=None):
    return TokenizerSpec(name, config, "en", model).build()


def test_words_are_their_own_tokens():
    tokenizer = build("none", NoneConfig())
    assert word_spans(tokenizer, ["a", "b"]) == [range(1), range(1, 2)]
    assert word_spans(tokenizer, []) == []
    assert joined_word(tokenizer, ["a@@"]) == "a@@"


def test_characters_belong_to_the_word_after_a_space():
    tokenizer = build("characters", CharactersConfig())
    tokens = tokenizer.encode("ab c")
    spans = word_spans(tokenizer, tokens)
    assert spans == [range(2), range(2, 4)]
    assert [joined_word(tokenizer, tokens[s.start : s.stop]) for s in spans] == ["ab", "c"]


TEXT = ["the little cat sleeps", "she reads a little book", "reading cats sleep"] * 30


def trained(name):
    """A tokenizer that divides words into pieces."""
    from s2st.text.tokenizers import MODEL_KINDS, TOKENIZERS

    values = {
        "sentencepiece": {"sentencepiece_vocab_size": 30},
        "subword-nmt": {"bpe_merges": 10},
        "huggingface": {"byte_bpe_vocab_size": 270},
    }[name]
    config = TOKENIZERS.get(name).config_type(**values)
    return build(name, config, MODEL_KINDS[name].train(iter(TEXT), config, "en"))


@pytest.mark.parametrize(
    ("name", "package"),
    [("sentencepiece", "sentencepiece"), ("subword-nmt", "subword_nmt"),
     ("huggingface", "tokenizers")],
)  # fmt: skip
def test_pieces_join_to_the_words_of_the_text(name, package):
    pytest.importorskip(package)
    tokenizer = trained(name)
    for line in TEXT[:3]:
        tokens = tokenizer.encode(line)
        words = line.split()
        assert len(tokens) > len(words)
        spans = word_spans(tokenizer, tokens)
        assert [joined_word(tokenizer, tokens[s.start : s.stop]) for s in spans] == words


def test_bytes_of_one_character_and_lone_spaces_begin_no_word():
    pytest.importorskip("tokenizers")
    tokenizer = trained("huggingface")
    for line in ("한국 the", "é ü", "the  —"):
        tokens = tokenizer.encode(line)
        spans = word_spans(tokenizer, tokens)
        assert [joined_word(tokenizer, tokens[s.start : s.stop]) for s in spans] == line.split()
