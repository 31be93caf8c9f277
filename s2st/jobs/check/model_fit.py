"""Whether a text fits a model: unknown words, case, Moses escapes, tokenization."""

from collections.abc import Callable, Iterator, Sequence

from s2st.jobs.check.findings import REMARK, WARNING, Finding
from s2st.jobs.check.text_scan import LARGE
from s2st.rescoring.text_mismatch_check import MAX_WORDS, UnknownWords
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import Vocabulary

Side = tuple[TokenizerSpec, Vocabulary]


class ModelFit:
    """Counts the unknown words of each side of a text.

    Args:
        sides: tokenizer and vocabulary of each file of the text, in their order.
        model: the checkpoint, for messages.
        is_tokenized: for each file whether its lines are words that are split at blanks only, as in
            n-best lists, if the model reads words.
    """

    def __init__(self, sides: Sequence[Side], model: str, is_tokenized: Sequence[bool]) -> None:
        self._model = model
        self._languages = [spec.language for spec, _ in sides]
        self._counts, self._split = [], []
        for (spec, vocabulary), tokenized in zip(sides, is_tokenized, strict=True):
            tokenizer = spec.build()
            self._counts.append(UnknownWords(vocabulary, tokenizer))
            plain = tokenized and not tokenizer.subword
            split: Callable[[str], list[str]] = str.split if plain else tokenizer.encode
            self._split.append((split, plain))

    def add(self, row: Sequence[str]) -> None:
        """Count the words of a line of each file, up to MAX_WORDS words in all."""
        for text, counts, (split, plain) in zip(row, self._counts, self._split, strict=True):
            if counts.words < MAX_WORDS and len(text) < LARGE:
                counts.add(split(text), None if plain else text)

    def findings(self, names: Sequence[str]) -> Iterator[Finding]:
        """Yield for each file how many of its words the model does not know, and the likely cause.

        Args:
            names: the files.
        """
        for name, language, counts in zip(names, self._languages, self._counts, strict=True):
            if not counts.words:
                continue
            warning = counts.warning(name)
            if warning is not None:
                text = warning.replace("the model", self._model, 1)
                yield Finding(WARNING, "does-not-fit-model", name, text, counts.unknown)
                continue
            share = counts.unknown / counts.words
            text = f"{share:.2%} of its {language} tokens are unknown to {self._model}"
            yield Finding(REMARK, "unknown-rate", name, text, counts.unknown)
