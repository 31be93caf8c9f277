"""The size that `preprocess` proposes for subwords, by hand, and that it can be trained."""

import pytest

from s2st.jobs.vocabulary_advice import needed_characters, proposed_size
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.tokenizers import SentencePieceConfig
from s2st.text.vocabulary import Vocabulary


def letters(count: int) -> Vocabulary:
    """A vocabulary of as many words of one letter each, equally frequent."""
    return Vocabulary([chr(0x4E00 + i) for i in range(count)], [10] * count)


@pytest.mark.parametrize(
    ("words", "characters", "size"),
    [
        (24_000, 50, 500),  # 3,000 short sentences: fewer than 500 pieces have 100 examples each
        (100_000, 50, 1000),
        (399_999, 50, 2000),
        (400_000, 50, 4000),  # Multi30k's 29,000 sentences
        (3_000_000, 80, 16_000),
        (100_000_000, 80, 32_000),
        (24_000, 900, 2000),  # Chinese characters need room
        (24_000, 20_000, 2 * (19_990 + 1)),  # all characters but 10, and the space
    ],
)
def test_sizes_by_hand(words, characters, size):
    assert proposed_size(words, [letters(50), letters(characters)]) == size


def test_characters_that_are_needed():
    assert needed_characters(Vocabulary(["ab", "b"], [9990, 20])) == 3  # a, b and the space
    # of 20,001 characters, 10 may be missing
    assert needed_characters(Vocabulary(["aa", "z"], [10_000, 1])) == 2


def test_preprocess_proposes_a_size_that_can_be_trained(s2st, tmp_path):
    train = [f"the {chr(97 + i % 26)}{chr(97 + i // 26)}word sleeps" for i in range(200)]
    valid = [f"the {chr(97 + i % 26)}{chr(97 + i // 26)}other sleeps" for i in range(20)]
    for name, lines in (("train", train), ("valid", valid)):
        for language in ("en", "fr"):
            (tmp_path / f"{name}.{language}").write_text("".join(f"{line}\n" for line in lines))
    words = ["preprocess", "-s", "en", "-t", "fr", "--trainpref", tmp_path / "train"]
    words += ["--validpref", tmp_path / "valid"]
    outcome = s2st(*words, "--destdir", tmp_path / "bin")
    assert outcome.code == 0
    (line,) = [row for row in outcome.err.splitlines() if "sentencepiece-vocab-size" in row]
    assert "33.3% of the en words of valid and 33.3% of the fr words of valid are unknown" in line
    size = int(line.partition("--sentencepiece-vocab-size ")[2].split()[0])
    train_sentencepiece(train, SentencePieceConfig(sentencepiece_vocab_size=size))
    # not for subwords, nor for words that are known, nor for a dictionary of the user's
    for options in (
        ["--tokenizer", "characters"],
        ["--srcdict", tmp_path / "bin", "--tgtdict", tmp_path / "bin"],
    ):
        other = s2st(*words, "--destdir", tmp_path / str(len(options)), *options)
        assert other.code == 0, other.err
        assert "sentencepiece-vocab-size" not in other.err
    words[-1] = tmp_path / "train"
    assert "unknown: with" not in s2st(*words, "--destdir", tmp_path / "known").err
