"""Options of `preprocess`, and which of them go together; importable without numpy."""

from dataclasses import dataclass, replace

from s2st.errors import UsageError
from s2st.options.config import option
from s2st.text.tokenizers import ABSENT, TokenizerSpec


@dataclass(frozen=True)
class PrepareConfig:
    """Options of `preprocess`, apart from the tokeniser's own."""

    source_lang: str = option("", "source language, the suffix of its files", flags=("-s",))
    target_lang: str = option("", "target language, the suffix of its files", flags=("-t",))
    only_target: bool = option(False, "text of one language, for a language model: no -s")
    trainpref: str | None = option(
        None, "training text: PREFIX.LANG, or PREFIX.LANG.gz, .xz or .bz2"
    )
    validpref: tuple[str, ...] = option((), "validation text; may be repeated")
    testpref: tuple[str, ...] = option((), "test text; may be repeated")
    tsv: str | None = option(
        None, "training text instead of --trainpref: source TAB target lines, - for a pipe"
    )
    destdir: str = option("data-bin", "folder to write; must not exist yet")
    nwordssrc: int | None = option(
        None, "keep this many source words", minimum=0, maximum=100_000_000
    )
    nwordstgt: int | None = option(
        None, "keep this many target words", minimum=0, maximum=100_000_000
    )
    thresholdsrc: int = option(
        0, "source words seen less often are unknown", minimum=0, maximum=1_000_000_000
    )
    thresholdtgt: int = option(
        0, "target words seen less often are unknown", minimum=0, maximum=1_000_000_000
    )
    srcdict: str | None = option(
        None, "take the source vocabulary from this dict file, checkpoint or store"
    )
    tgtdict: str | None = option(
        None, "take the target vocabulary from this dict file, checkpoint or store"
    )
    joined_dictionary: bool = option(False, "one vocabulary for both sides")
    source_sentencepiece: str | None = option(None, "use this SentencePiece model, train none")
    target_sentencepiece: str | None = option(None, "use this SentencePiece model, train none")
    max_length: int = option(
        250,
        "skip training pairs with a side of more tokens than this",
        minimum=1,
        maximum=1_000_000,
    )
    workers: int = option(1, "processes that tokenise", minimum=1, maximum=256)
    encoding_errors: str = option(
        "strict", "bad UTF-8: stop, or go on with U+FFFD", choices=("strict", "replace")
    )


def checked(config: PrepareConfig) -> PrepareConfig:
    """The config, with the name of a source side that is nothing; raises UsageError."""
    if config.only_target:
        two_sided = ("source_lang", "tsv", "srcdict", "nwordssrc", "source_sentencepiece")
        for name in two_sided:
            if getattr(config, name):
                raise UsageError(f"--only-target goes without --{name.replace('_', '-')}")
        if config.joined_dictionary or config.thresholdsrc:
            raise UsageError("--only-target: there is no source vocabulary to join or to cut")
        config = replace(config, source_lang=ABSENT)
    if not config.source_lang or not config.target_lang:
        raise UsageError("--source-lang and --target-lang are needed")
    if config.source_lang == config.target_lang:
        raise UsageError("--source-lang and --target-lang must differ")
    for language in (config.source_lang, config.target_lang):
        if "/" in language or language.startswith("."):
            raise UsageError(f"language {language!r}: a plain suffix such as en is needed")
    if config.trainpref is not None and config.tsv is not None:
        raise UsageError("give --trainpref or --tsv, not both")
    has_training = config.trainpref is not None or config.tsv is not None
    if not has_training and not ((config.srcdict or config.only_target) and config.tgtdict):
        raise UsageError(
            "no training text: give --trainpref or --tsv, or both --srcdict and --tgtdict"
        )
    if config.joined_dictionary and (config.srcdict is None) != (config.tgtdict is None):
        raise UsageError("--joined-dictionary with one dictionary file needs it for both sides")
    given = {config.nwordssrc, config.nwordstgt} - {None}
    if config.joined_dictionary and len(given) > 1:
        raise UsageError("--joined-dictionary: --nwordssrc and --nwordstgt must be equal")
    for side, path in (("src", config.srcdict), ("tgt", config.tgtdict)):
        for name in _limits(config, side):
            if path is not None:
                raise UsageError(
                    f"--{name} cannot be combined with --{side}dict: all words of {path} are kept"
                )
    return config


def models_given(
    config: PrepareConfig, source: TokenizerSpec, target: TokenizerSpec
) -> tuple[str | None, str | None]:
    """The SentencePiece model file that the user gave for each side, if any.

    Raises:
        UsageError: a side has no use for its file, or for a limit of its vocabulary.
    """
    given = config.source_sentencepiece, config.target_sentencepiece
    sides = (("source", "src"), ("target", "tgt"))
    for path, spec, (side, short) in zip(given, (source, target), sides, strict=True):
        if path is not None and spec.name != "sentencepiece":
            raise UsageError(
                f"--{side}-sentencepiece needs --tokenizer sentencepiece, but the tokenizer of "
                f"{spec.language} is {spec.name}"
            )
        if path is not None and spec.model is not None:
            raise UsageError(
                f"--{side}-sentencepiece cannot be combined with --{short}dict "
                f"{getattr(config, short + 'dict')}, which brings its own model"
            )
        for name in _limits(config, short):
            if spec.name == "sentencepiece":
                raise UsageError(
                    f"--{name} cannot be combined with --tokenizer sentencepiece: the vocabulary "
                    "has all pieces of the model; --sentencepiece-vocab-size sets their number"
                )
    if config.joined_dictionary:  # one vocabulary needs one model
        return given[0] or given[1], given[1] or given[0]
    return given


def _limits(config: PrepareConfig, side: str) -> list[str]:
    """The options that limit a side's vocabulary, where they are given; `side` is src or tgt."""
    words, threshold = f"nwords{side}", f"threshold{side}"
    given = [words] if getattr(config, words) is not None else []
    return [*given, threshold] if getattr(config, threshold) else given
