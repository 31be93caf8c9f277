"""The SentencePiece tokenizer (Kudo & Richardson 2018)."""

import re
from collections.abc import Sequence

from s2st.errors import ConfigError
from s2st.text.tokenizers import SPACE_SIGN, Tokenizer, TokenizerSpec

_ASCII_SPACE = re.compile(r"[ \t\n\r\f\v]+")


class SentencePieceTokenizer(Tokenizer):
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


def _without_space(piece: str) -> str:
    """Replace white space in a piece, for the dictionary; some models have a tab as piece."""
    if piece.isprintable() and " " not in piece:
        return piece
    return _ASCII_SPACE.sub(SPACE_SIGN, piece)
