"""Training of SentencePiece models, with the library's errors expressed in s2st's options."""

import io
import logging
import re
from collections.abc import Iterable, Iterator

from s2st.errors import ConfigError, DataError
from s2st.text.tokenizers import SentencePieceConfig

log = logging.getLogger("s2st")
MAX_BYTES = 4192  # of a line that SentencePiece trains on; its default
MAX_LINES = 1_000_000
RESERVED = "\u2585"  # SentencePiece ignores lines that contain this character


def train_sentencepiece(
    lines: Iterable[str], config: SentencePieceConfig, language: str = "the text"
) -> bytes:
    """Train a model on at most a million lines, drawn at random.

    Args:
        lines: the text; errors of the iterator are raised unchanged.
        config: size, type and coverage of the model.
        language: language of the text, for messages.

    Returns:
        The content of the model file.

    Raises:
        ConfigError: the options do not fit the text.
        DataError: there is no text to train on.
    """
    import sentencepiece

    output = io.BytesIO()
    text = _Text(lines, config.lowercase)
    failure = None
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text),
            model_writer=output,
            vocab_size=config.sentencepiece_vocab_size,
            model_type=config.sentencepiece_model_type,
            character_coverage=config.sentencepiece_coverage,
            max_sentence_length=MAX_BYTES,
            input_sentence_size=MAX_LINES,
            shuffle_input_sentence=True,
            hard_vocab_limit=False,
            num_threads=2,
            minloglevel=3,  # its log on stderr would name the library's options
        )
    except (RuntimeError, ValueError, OverflowError) as error:
        failure = error
    if text.error is not None:  # the library turns every error of its input into a RuntimeError
        raise text.error
    text.warn_skipped(language)
    if failure is not None:
        raise _explained(str(failure), text, config, language) from failure
    model = output.getvalue()
    size = sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()
    if size < config.sentencepiece_vocab_size:
        log.warning(
            "%s: SentencePiece made %s pieces, not --sentencepiece-vocab-size %s: the text does "
            "not have more", language, f"{size:,}", config.sentencepiece_vocab_size,
        )  # fmt: skip
    return model


class _Text:
    """The lines that SentencePiece trains on, with counts of lines that it would drop silently.

    Attributes:
        kept: number of lines passed to SentencePiece.
        long, reserved: number of lines skipped for their length or for the reserved character.
        error: the error raised while reading the lines.
    """

    def __init__(self, lines: Iterable[str], lowercase: bool) -> None:
        self._lines = lines
        self._lowercase = lowercase
        self.kept = self.long = self.reserved = 0
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            for line in self._lines:
                text = line.lower() if self._lowercase else line
                if not text.strip():
                    continue
                if len(text.encode()) > MAX_BYTES:
                    self.long += 1
                elif RESERVED in text:
                    self.reserved += 1
                else:
                    self.kept += 1
                    yield text
        except GeneratorExit:  # the library has read enough
            raise
        except BaseException as error:
            self.error = error
            raise

    def warn_skipped(self, language: str) -> None:
        """Warn of lines that the model was not trained on."""
        reasons = []
        if self.long:
            reasons.append(f"{self.long:,} of more than {MAX_BYTES:,} bytes")
        if self.reserved:
            reasons.append(f"{self.reserved:,} with the character U+{ord(RESERVED):04X}")
        if reasons:
            log.warning(
                "%s: SentencePiece training skipped lines: %s",
                language,
                ", ".join(reasons),
            )


def _explained(
    message: str, text: _Text, config: SentencePieceConfig, language: str
) -> ConfigError | DataError:
    """Translate an error message of the library into an error about s2st's options."""
    needed = re.search(r"required_chars\. \d+ vs (\d+)", message)
    size, kind = config.sentencepiece_vocab_size, config.sentencepiece_model_type
    if needed:
        return ConfigError(
            f"--sentencepiece-vocab-size {size} is too small for {language}: its characters alone "
            f"take {int(needed[1]):,} pieces; use a larger number than that, or lower "
            f"--sentencepiece-coverage {config.sentencepiece_coverage} to leave out rare characters"
        )
    if not text.kept or "[!sentences_.empty()]" in message or "all_chars_count" in message:
        return DataError(f"{language}: there is no text to train SentencePiece on")
    return ConfigError(
        f"SentencePiece cannot train a {kind} model of {size} pieces on {language}: try another "
        "--sentencepiece-vocab-size or --sentencepiece-model-type, or more text"
    )
