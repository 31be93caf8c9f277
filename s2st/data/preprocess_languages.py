"""Languages of a store that `preprocess` writes: tokenizer, word counts and vocabulary of each."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.data.corpus_texts import PairTexts
from s2st.data.id_writer import read_id_chunks
from s2st.data.preprocess_options import PreprocessConfig, check_limits, models_given
from s2st.data.preprocess_workers import growing_index
from s2st.data.trained_tokenizers import shown_name
from s2st.data.user_dictionaries import read_dictionary
from s2st.errors import UsageError
from s2st.text.tokenizers import ABSENT, MODEL_KINDS, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

log = logging.getLogger("s2st")


class Language:
    """One language: its tokenizer, and its vocabulary once that is known.

    Training text is read once: each new word gets the next provisional id, which `final_ids` maps
    to the id of the vocabulary.

    Args:
        name: the suffix of its files.
        spec: the tokenizer, possibly without its model.
        model_file: trained model of the user (SentencePiece and so on), if any.
        dictionary: dict file, checkpoint or store of the user, if any.
        limit, threshold: size of the vocabulary, lowest frequency of a word.
    """

    def __init__(
        self,
        name: str,
        spec: TokenizerSpec,
        model_file: str | None,
        dictionary: str | None,
        limit: int | None,
        threshold: int,
    ) -> None:
        self.spec = spec
        self.name = name
        self.model_file = model_file
        self.dictionary = dictionary
        self.limit = limit
        self.threshold = threshold
        self.pieces: list[str] | None = None
        self.further_tokens: Callable[[tuple[str, ...]], Iterable[str]] = lambda _: ()
        self.vocabulary: Vocabulary | None = None
        self.words: dict[str, int] = growing_index()  # provisional ids, later frequencies
        self.final_ids: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self.provisional_words: list[str] = []
        self._files: list[Path] = []

    @property
    def needs_model(self) -> bool:
        """Whether the tokenizer's model must be trained."""
        return self.spec.name in MODEL_KINDS and not (self.spec.model or self.model_file)

    @property
    def known_words(self) -> Vocabulary:
        """The vocabulary, which must be known."""
        assert self.vocabulary is not None
        return self.vocabulary

    @property
    def words_kept(self) -> int:
        """Number of words of the vocabulary, without special tokens."""
        return len(self.known_words) - self.known_words.first_word

    def read_vocabulary(self) -> None:
        """Read the vocabulary that the user gave, or set that of an absent language."""
        if self.dictionary is None:
            wordless = self.name == ABSENT or self.spec.vector_size
            self.vocabulary = Vocabulary([], []) if wordless else None
            return
        self.vocabulary = read_dictionary(self.dictionary, self.name)[1]
        self._warn_foreign_words(self.dictionary, self.vocabulary)

    def _warn_foreign_words(self, path: str, vocabulary: Vocabulary) -> None:
        """Warn of a dict file's words that the language's trained model never produces."""
        if self.pieces is None or Path(path).is_dir():
            return
        foreign = len(set(vocabulary.tokens[vocabulary.first_word :]).difference(self.pieces))
        if foreign:
            log.warning(
                "%s: %s of its %s words are not pieces of the %s model of %s, so no text contains "
                "them", path, f"{foreign:,}", f"{len(vocabulary) - vocabulary.first_word:,}",
                shown_name(self.spec.name), self.name,
            )  # fmt: skip

    def provisional(self, folder: Path, split: str) -> Path:
        """Return the file of a split's provisional ids; its words will be counted."""
        path = folder / f"provisional.{split}.{self.name}.npy"
        if path not in self._files:
            self._files.append(path)
        return path

    def count_words(self) -> None:
        """Replace the provisional ids of `words` by frequencies, and keep the words in order."""
        total = np.zeros(len(self.words), dtype=np.int64)
        for path in self._files:
            for chunk in read_id_chunks(path):
                total += np.bincount(chunk, minlength=len(total))
        # frequencies replace the ids in place: a second table would cost memory
        self.provisional_words = list(self.words)
        self.words.update(zip(self.provisional_words, total.tolist(), strict=True))

    def set_vocabulary(self, frequencies: dict[str, int], tagged: Sequence[str]) -> None:
        """Build the vocabulary unless the user gave one.

        Args:
            frequencies: frequency of each word.
            tagged: target languages that have a tag.
        """
        if self.pieces is not None:  # exactly the model's pieces: other text may need the rare ones
            frequencies = {piece: frequencies.get(piece, 0) for piece in self.pieces}
        for token in self.further_tokens(tuple(frequencies)):
            frequencies.setdefault(token, 0)
        if self.vocabulary is None:
            self.vocabulary = Vocabulary.build(frequencies, self.limit, self.threshold, tagged)

    def number_words(self) -> None:
        """Set the table of final ids, and free the words."""
        ids = self.known_words.encode(self.provisional_words)
        self.final_ids = np.array(ids, dtype=np.int32)
        self.provisional_words = []


def languages_for(
    config: PreprocessConfig, texts: Sequence[PairTexts], tokenizers: Sequence[TokenizerSpec]
) -> list[Language]:
    """Return the languages of a store, in the order of `languages_of`.

    Raises:
        UsageError: a language cannot have its options.
    """
    roles = languages_of(texts)
    models: list[str | None] = [None] * len(roles)
    if config.pair:
        for spec, role in zip(tokenizers, roles.values(), strict=True):
            check_limits(config, spec, role)
    else:
        models = list(models_given(config, *tokenizers))
    dictionaries = {"src": config.srcdict, "tgt": config.tgtdict}
    limits = {"src": config.nwordssrc, "tgt": config.nwordstgt}
    thresholds = {"src": config.thresholdsrc, "tgt": config.thresholdtgt}
    if config.joined_dictionary:  # a limit of either side applies to the joined vocabulary
        limits = dict.fromkeys(limits, next((n for n in limits.values() if n is not None), None))
        thresholds = dict.fromkeys(thresholds, max(thresholds.values()))
    return [
        Language(name, spec, model, dictionaries[role], limits[role], thresholds[role])
        for (name, role), spec, model in zip(roles.items(), tokenizers, models, strict=True)
    ]


def languages_of(texts: Sequence[PairTexts]) -> dict[str, str]:
    """Return the languages in order of first use, each with its first side: src or tgt."""
    roles: dict[str, str] = {}
    for pair in texts:
        roles.setdefault(pair.source, "src")
        roles.setdefault(pair.target, "tgt")
    return roles


def build_vocabularies(
    languages: Sequence[Language], joined: bool, tagged: Sequence[str] = ()
) -> None:
    """Build the vocabularies that the user did not give; empty the languages' tables of words.

    Args:
        languages: the languages, with the frequencies of their words.
        joined: whether they have one vocabulary.
        tagged: target languages that have a tag in it.
    """
    if joined:
        first = languages[0].words
        for language in languages[1:]:
            for word, count in language.words.items():
                first[word] = first.get(word, 0) + count
            language.words = {}
    for language in languages:
        language.set_vocabulary(languages[0].words if joined else language.words, tagged)
        if not joined:
            language.words = {}  # free the memory
    for language in languages:
        language.words = {}
        language.number_words()


def check_joined(languages: Sequence[Language]) -> None:
    """Raise UsageError if the languages cannot have one vocabulary."""
    first = languages[0]
    if any(language.vocabulary != first.vocabulary for language in languages):
        raise UsageError(
            "--joined-dictionary: --srcdict and --tgtdict have different words; give the same "
            "dictionary for both"
        )
    if first.vocabulary is None and any(other.pieces != first.pieces for other in languages):
        remedy = "give one --tokenizer-json"
        if first.spec.name == "sentencepiece":
            remedy = "give the same file as --source-sentencepiece and --target-sentencepiece"
        name = shown_name(first.spec.name)
        raise UsageError(f"--joined-dictionary needs one {name} model: {remedy}")
