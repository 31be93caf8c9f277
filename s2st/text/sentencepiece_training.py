"""Training of SentencePiece models; what the library reports is said in the options of s2st."""

import io
import logging
import re
from collections.abc import Iterable, Iterator

from s2st.errors import ConfigError, DataError
from s2st.text.tokenizers import SentencePieceConfig

log = logging.getLogger("s2st")
MOST_BYTES = 4192  # of a line that SentencePiece trains on, its own default
MOST_LINES = 1_000_000
RESERVED = "\u2585"  # SentencePiece trains on no line that has this character


def train_sentencepiece(
    lines: Iterable[str], config: SentencePieceConfig, language: str = "the text"
) -> bytes:
    """Trains a model on lines, at most a million of them drawn at random.

    Args:
        lines: the text; what reading it raises is raised here.
        config: size, kind and coverage of the model.
        language: of the text, for messages.

    Returns:
        The model's file.

    Raises:
        ConfigError: the options do not suit the text.
        DataError: no text is left to train on.
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
            max_sentence_length=MOST_BYTES,
            input_sentence_size=MOST_LINES,
            shuffle_input_sentence=True,
            hard_vocab_limit=False,
            num_threads=2,
            minloglevel=3,  # its log on stderr would name its own options
        )
    except (RuntimeError, ValueError, OverflowError) as error:
        failure = error
    if text.error is not None:  # the library makes a RuntimeError of whatever its input raises
        raise text.error
    text.tell_left_out(language)
    if failure is not None:
        raise _explained(str(failure), text, config, language) from failure
    model = output.getvalue()
    size = sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()
    if size < config.sentencepiece_vocab_size:
        log.warning(
            "%s: SentencePiece made %s pieces, not --sentencepiece-vocab-size %s: the text has no "
            "more", language, f"{size:,}", config.sentencepiece_vocab_size,
        )  # fmt: skip
    return model


class _Text:
    """The lines that SentencePiece trains on, and counts of those that it would drop in silence.

    Attributes:
        kept: lines that it gets.
        long, reserved: lines left out, for their length and for a reserved character.
        error: what reading the lines raised.
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
                if len(text.encode()) > MOST_BYTES:
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

    def tell_left_out(self, language: str) -> None:
        """Warns of lines that the model was not trained on."""
        reasons = []
        if self.long:
            reasons.append(f"{self.long:,} of more than {MOST_BYTES:,} bytes")
        if self.reserved:
            reasons.append(f"{self.reserved:,} with the character U+{ord(RESERVED):04X}")
        if reasons:
            log.warning(
                "%s: the training of SentencePiece left out lines: %s",
                language,
                ", ".join(reasons),
            )


def _explained(
    message: str, text: _Text, config: SentencePieceConfig, language: str
) -> ConfigError | DataError:
    """The error that a message of the library stands for."""
    needed = re.search(r"required_chars\. \d+ vs (\d+)", message)
    size, kind = config.sentencepiece_vocab_size, config.sentencepiece_model_type
    if needed:
        return ConfigError(
            f"--sentencepiece-vocab-size {size} is too small for {language}: its characters alone "
            f"take {int(needed[1]):,} pieces; raise it to more than that, or lower "
            f"--sentencepiece-coverage {config.sentencepiece_coverage} to leave out rare characters"
        )
    if not text.kept or "[!sentences_.empty()]" in message or "all_chars_count" in message:
        return DataError(f"{language}: there is no text to train SentencePiece on")
    return ConfigError(
        f"SentencePiece cannot train a {kind} model of {size} pieces on {language}: try another "
        "--sentencepiece-vocab-size or --sentencepiece-model-type, or more text"
    )
