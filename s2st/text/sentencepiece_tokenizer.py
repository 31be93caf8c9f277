"""The SentencePiece tokenizer (Kudo & Richardson 2018)."""

import random
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import groupby

from s2st.errors import ConfigError
from s2st.text.subword_draws import BpeDraws, UnigramDraws, words_of
from s2st.text.tokenizers import SPACE_SIGN, SampledTokenizer, TokenizerSpec, space_starts

UNKNOWN = "<unk>"  # an unknown token in `resample`
_ASCII_SPACE = re.compile(r"[ \t\n\r\f\v]+")


class SentencePieceTokenizer(SampledTokenizer):
    """Splits text into the subword pieces of a SentencePiece model.

    `encode` returns each run of characters that the model lacks as one token in the spelling of the
    text. Such a token is not in `pieces`, hence unknown; `decode` returns it unchanged.
    """

    subword = True

    def __init__(self, spec: TokenizerSpec) -> None:
        import sentencepiece

        if spec.model is None:
            raise ConfigError("the sentencepiece tokenizer needs a model, but none was given")
        self.model = spec.model
        self._lowercase = spec.config.lowercase
        self._draws: tuple[float, UnigramDraws] | None = None
        try:
            if not spec.model:  # the library treats an empty model like no model
                raise RuntimeError("empty")
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=spec.model)
            self._processor.get_piece_size()
        except RuntimeError as error:
            raise ConfigError("not a SentencePiece model, or damaged") from error

    def encode(self, line: str) -> list[str]:
        """Return the pieces of the line, and runs of characters that the model lacks."""
        text = line.lower() if self._lowercase else line
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return [_without_space(piece) for piece in pieces]

    def decode(self, tokens: Sequence[str]) -> str:
        """Return the text of the pieces."""
        text: str = self._processor.decode_pieces(list(tokens))
        # the library keeps the space signs, even a leading one, of tokens that are not pieces
        return " ".join(text.removeprefix(SPACE_SIGN).split("\n")).replace(SPACE_SIGN, " ")

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        """Return for each piece whether a space comes before it."""
        return space_starts(tokens)

    def pieces(self) -> list[str]:
        """Return the pieces that text can consist of, without `<unk>`, `<s>` and `</s>`."""
        processor = self._processor
        excluded = (processor.is_unknown, processor.is_control, processor.is_unused)
        pieces = (
            _without_space(processor.id_to_piece(index))
            for index in range(processor.get_piece_size())
            if not any(check(index) for check in excluded)
        )
        return list(dict.fromkeys(piece for piece in pieces if piece))

    # subword regularization

    def can_resample(self) -> bool:
        """Return whether the model is of type unigram or bpe."""
        try:
            self._processor.encode("a", out_type=str, enable_sampling=True, nbest_size=-1)
        except RuntimeError:  # types char and word
            return False
        return True

    @cached_property
    def _is_unigram(self) -> bool:
        try:
            self._processor.nbest_encode("a", nbest_size=2)
        except RuntimeError:
            return False
        return True

    @cached_property
    def _scores(self) -> dict[str, float]:
        """Scores of the pieces that segmentations are drawn from.

        Bytes are not among them, and neither are symbols that a unigram model takes whole: their
        score is 0, which no probability below 1 has.
        """
        processor = self._processor
        excluded = (
            processor.is_unknown, processor.is_control, processor.is_unused, processor.is_byte,
        )  # fmt: skip
        scores = {
            processor.id_to_piece(index): processor.get_score(index)
            for index in range(processor.get_piece_size())
            if not any(check(index) for check in excluded)
        }
        return {p: s for p, s in scores.items() if s or not self._is_unigram}

    @cached_property
    def _crosses_words(self) -> bool:
        """Whether a piece goes on after a space, so that words are not independent."""
        return any(len(words_of(piece)) > 1 for piece in self._scores)

    def resample(
        self,
        tokens: Sequence[str],
        known: Callable[[str], bool],
        seed: int,
        unigram_alpha: float,
        bpe_dropout: float,
    ) -> list[str]:
        """Return a draw of the same characters; unknown tokens and bytes stay."""
        generator = random.Random(seed)
        drawn: list[str] = []
        for is_free, group in groupby(tokens, self._scores.__contains__):
            if not is_free:
                drawn += group
                continue
            pieces = list(group)
            text = "".join(pieces)
            if self._is_unigram:
                for word in [text] if self._crosses_words else words_of(text):
                    drawn += self._unigram_draw(word, unigram_alpha, generator)
            else:
                drawn += self._bpe_draw(pieces, text, bpe_dropout, generator)
        return drawn if all(map(known, set(drawn) - {UNKNOWN})) else list(tokens)

    def _unigram_draw(self, word: str, alpha: float, generator: random.Random) -> list[str]:
        if self._draws is None or self._draws[0] != alpha:
            self._draws = alpha, UnigramDraws(self._scores, alpha)
        drawn = self._draws[1].draw(word, generator)
        assert drawn is not None  # its own pieces spell it
        return drawn

    def _bpe_draw(
        self, pieces: list[str], text: str, dropout: float, generator: random.Random
    ) -> list[str]:
        """Return a draw; a text whose pieces are not its BPE stays as it is."""
        words = [text] if self._crosses_words else words_of(text)
        plain = [piece for word in words for piece in self._merges.plain(word)]
        if plain != pieces:
            return pieces
        return [p for word in words for p in self._merges.draw(word, dropout, generator)]

    @cached_property
    def _merges(self) -> BpeDraws:
        return BpeDraws(self._scores)


def _without_space(piece: str) -> str:
    """Replace white space in a piece, for the dictionary; some models have a tab as piece."""
    if piece.isprintable() and " " not in piece:
        return piece
    return _ASCII_SPACE.sub(SPACE_SIGN, piece)
