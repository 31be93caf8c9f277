"""Advice of `preprocess` to use subwords, if many words of the validation text are unknown."""

from collections import Counter
from collections.abc import Iterable, Sequence

from s2st.data.preprocess import PreprocessReport, SideCounts, SplitReport
from s2st.text.vocabulary import Vocabulary

WORD_TOKENIZERS = ("none", "moses")
MANY_UNKNOWN = 0.05  # of the words
SIZES = (500, 1000, 2000, 4000, 8000, 16_000, 32_000)
EXAMPLES = 100  # of each piece; Gowda & May (2020) find 100 for most pieces to be best
COVERAGE = 0.9995  # of the characters, as in --sentencepiece-coverage
ROOM = 2  # pieces for each character that the model needs


def subword_advice(
    report: PreprocessReport, languages: Sequence[str], tokenizer: str
) -> str | None:
    """Return a warning if many words of a validation split are unknown, else None.

    Args:
        report: what `preprocess` wrote.
        languages: the languages whose vocabulary was counted.
        tokenizer: name of their tokenizer.
    """
    words = dict.fromkeys(languages, 0)
    for split in report.splits:
        if split.name.startswith("train"):
            for language, counts in _sides(split, languages):
                words[language] += counts.tokens
    if tokenizer not in WORD_TOKENIZERS or not any(words.values()):
        return None
    found = []
    for split in report.splits:
        if not split.name.startswith("valid"):
            continue
        for language, counts in _sides(split, languages):
            share = counts.unknown / max(1, counts.tokens)
            if share >= MANY_UNKNOWN:
                found.append(f"{share:.1%} of the {language} words of {split.name}")
    if not found:
        return None
    least = min(words.values())
    vocabularies = [Vocabulary.load(report.folder / f"dict.{name}.txt") for name in languages]
    size = proposed_size(least, vocabularies)
    return (
        f"{' and '.join(found)} are unknown: with --tokenizer {tokenizer} no model can read or "
        f"write them; subwords can: --tokenizer sentencepiece --sentencepiece-vocab-size {size} "
        f"fits {least:,} words of training text"
    )


def _sides(split: SplitReport, languages: Sequence[str]) -> list[tuple[str, SideCounts]]:
    """Return those of the languages that a split has, with their counts."""
    sides = ((split.source_language, split.source), (split.target_language, split.target))
    return [(language, counts) for language, counts in sides if language in languages]


def proposed_size(words: int, vocabularies: Iterable[Vocabulary]) -> int:
    """Return a number of SentencePiece pieces per side for a corpus.

    The largest of SIZES of which each piece occurs EXAMPLES times on average, but at least ROOM
    pieces for each character that the model has to know.

    Args:
        words: number of words of the smaller side.
        vocabularies: words of the training text with their counts.
    """
    characters = max(map(needed_characters, vocabularies))
    enough = [size for size in SIZES if size >= ROOM * characters]
    fitting = [size for size in enough if size * EXAMPLES <= words]
    if fitting:
        return fitting[-1]
    return enough[0] if enough else ROOM * characters


def needed_characters(vocabulary: Vocabulary) -> int:
    """Return how many characters make up COVERAGE of the text, and a sign for spaces."""
    counts: Counter[str] = Counter()
    first = vocabulary.first_word
    for word, count in zip(vocabulary.tokens[first:], vocabulary.counts[first:], strict=True):
        for character in word:
            counts[character] += count
    left = counts.total() * COVERAGE
    needed = 1
    for _, count in counts.most_common():
        if left <= 0:
            break
        left -= count
        needed += 1
    return needed
