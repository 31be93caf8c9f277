"""Advice of `preprocess` to use subwords, if many words of the validation text are unknown."""

from collections import Counter
from collections.abc import Iterable, Sequence

from s2st.data.preprocess import PreprocessReport
from s2st.text.vocabulary import SPECIALS, Vocabulary

WORD_TOKENIZERS = ("none", "moses")
MANY_UNKNOWN = 0.05  # of the words
SIZES = (500, 1000, 2000, 4000, 8000, 16_000, 32_000)
EXAMPLES = 100  # of each piece; Gowda & May (2020) find 100 for most pieces to be best
COVERAGE = 0.9995  # of the characters, as in --sentencepiece-coverage
ROOM = 2  # pieces for each character that the model needs


def subword_advice(
    report: PreprocessReport, languages: Sequence[tuple[str, str]], tokenizer: str
) -> str | None:
    """Return a warning if many words of a validation split are unknown, else None.

    Args:
        report: what `preprocess` wrote.
        languages: ("source" or "target", language) of the sides whose vocabulary was counted.
        tokenizer: name of their tokenizer.
    """
    training = next((split for split in report.splits if split.name.startswith("train")), None)
    if tokenizer not in WORD_TOKENIZERS or training is None or not languages:
        return None
    found = []
    for split in report.splits:
        if not split.name.startswith("valid"):
            continue
        for side, language in languages:
            counts = getattr(split, side)
            share = counts.unknown / max(1, counts.tokens)
            if share >= MANY_UNKNOWN:
                found.append(f"{share:.1%} of the {language} words of {split.name}")
    if not found:
        return None
    words = min(getattr(training, side).tokens for side, _ in languages)
    vocabularies = [Vocabulary.load(report.folder / f"dict.{name}.txt") for _, name in languages]
    size = proposed_size(words, vocabularies)
    return (
        f"{' and '.join(found)} are unknown: with --tokenizer {tokenizer} no model can read or "
        f"write them; subwords can: --tokenizer sentencepiece --sentencepiece-vocab-size {size} "
        f"fits {words:,} words of training text"
    )


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
    first = len(SPECIALS)
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
