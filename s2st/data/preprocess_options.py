"""Options of `s2st preprocess`, and checks that they fit together; importable without numpy."""

from dataclasses import dataclass, replace

from s2st.data.corpus_texts import PairTexts, corpus_texts, texts_of_pairs, with_vectors
from s2st.errors import UsageError
from s2st.options.option_fields import config_values, make_config, option
from s2st.text.tokenizers import ABSENT, MODEL_KINDS, VECTORS, TokenizerSpec


@dataclass(frozen=True)
class PreprocessConfig:
    """Options of `preprocess`, except those of the tokenizers."""

    source_lang: str = option("", "source language, the suffix of its files", flags=("-s",))
    target_lang: str = option("", "target language, the suffix of its files", flags=("-t",))
    only_target: bool = option(
        False, "the text has one language, for a language model; give -t without -s"
    )
    trainpref: tuple[str, ...] = option(
        (),
        "training text: PREFIX.LANG, or PREFIX.LANG.gz, .xz or .bz2; several corpora: repeat the "
        "option, or separate them by commas; NAME=PREFIX names a corpus",
    )
    validpref: tuple[str, ...] = option((), "validation text; several as for --trainpref")
    testpref: tuple[str, ...] = option((), "test text; several as for --trainpref")
    pair: tuple[str, ...] = option(
        (),
        "training text of a language pair as SOURCE-TARGET:PREFIX; repeat the option for several "
        "pairs in one store; the other PREFIXes then begin with a pair too",
    )
    tsv: str | None = option(
        None,
        "training text as lines of source TAB target, instead of --trainpref; - is standard input",
    )
    source_vectors: tuple[str, ...] = option(
        (),
        "the source is a sequence of vectors, in this .npy or .npz file or folder; one for each "
        "corpus of --trainpref, --validpref and --testpref, in this order",
    )
    destdir: str = option("data-bin", "folder to write; must not exist")
    nwordssrc: int | None = option(
        None, "keep only the N most frequent source words", minimum=0, maximum=100_000_000
    )
    nwordstgt: int | None = option(
        None, "keep only the N most frequent target words", minimum=0, maximum=100_000_000
    )
    thresholdsrc: int = option(
        0,
        "treat source words that occur fewer than N times as unknown",
        minimum=0,
        maximum=1_000_000_000,
    )
    thresholdtgt: int = option(
        0,
        "treat target words that occur fewer than N times as unknown",
        minimum=0,
        maximum=1_000_000_000,
    )
    srcdict: str | None = option(
        None, "use the source vocabulary of this dict file, checkpoint or store"
    )
    tgtdict: str | None = option(
        None, "use the target vocabulary of this dict file, checkpoint or store"
    )
    joined_dictionary: bool = option(False, "one vocabulary for both sides")
    source_sentencepiece: str | None = option(
        None, "use this SentencePiece model for the source instead of training one"
    )
    target_sentencepiece: str | None = option(
        None, "use this SentencePiece model for the target instead of training one"
    )
    bpe_codes: tuple[str, ...] = option(
        (),
        "use this codes file of subword-nmt instead of learning one; give it once for both sides, "
        "or twice: source, then target",
    )
    tokenizer_json: tuple[str, ...] = option(
        (),
        "use this tokenizer.json of Hugging Face instead of training one; once for both sides, or "
        "twice: source, then target",
    )
    max_length: int = option(
        250,
        "skip training pairs with more tokens than this on either side",
        minimum=1,
        maximum=1_000_000,
    )
    max_ratio: float | None = option(
        None,
        "skip training pairs whose longer side has more than this many times the tokens of the "
        "shorter side",
        minimum=1,
        maximum=1_000_000,
    )
    drop_duplicates: bool = option(
        False, "keep only the first of equal training pairs; takes 8 to 24 bytes of memory per pair"
    )
    drop_copies: bool = option(
        False, "skip training pairs whose target line equals their source line"
    )
    workers: int = option(1, "number of tokenizer processes", minimum=1, maximum=256)
    encoding_errors: str = option(
        "strict",
        "on bytes that are not UTF-8: stop (strict), or read them as U+FFFD (replace)",
        choices=("strict", "replace"),
    )


def checked(config: PreprocessConfig) -> PreprocessConfig:
    """Return the config, with the language of an absent source filled in; raise UsageError."""
    # a program that makes the record itself may have written trainpref="train"
    make_config(PreprocessConfig, config_values(config), "PreprocessConfig")
    if config.pair:
        return _checked_pairs(config)
    if config.source_vectors:
        config = _checked_vectors(config)
    if config.only_target:
        source_options = (
            "source_lang", "tsv", "srcdict", "nwordssrc", "source_sentencepiece", "max_ratio",
            "drop_copies",
        )  # fmt: skip
        for name in source_options:
            if getattr(config, name):
                flag = name.replace("_", "-")
                raise UsageError(f"--only-target cannot be combined with --{flag}")
        if config.joined_dictionary or config.thresholdsrc:
            flag = "joined-dictionary" if config.joined_dictionary else "thresholdsrc"
            raise UsageError(
                f"--only-target cannot be combined with --{flag}: there is no source vocabulary"
            )
        config = replace(config, source_lang=ABSENT)
    if not config.source_lang or not config.target_lang:
        raise UsageError("--source-lang and --target-lang are required")
    if config.source_lang == config.target_lang:
        raise UsageError("--source-lang and --target-lang must differ")
    for language in (config.source_lang, config.target_lang):
        if "/" in language or language.startswith("."):
            raise UsageError(f"language {language!r}: use a plain file suffix such as en")
    if config.trainpref and config.tsv is not None:
        raise UsageError("give --trainpref or --tsv, not both")
    has_training = bool(config.trainpref) or config.tsv is not None
    no_words = config.only_target or config.source_vectors
    if not has_training and not ((config.srcdict or no_words) and config.tgtdict):
        raise UsageError(
            "no training text: give --trainpref or --tsv, or both --srcdict and --tgtdict"
        )
    if config.joined_dictionary and (config.srcdict is None) != (config.tgtdict is None):
        raise UsageError(
            "--joined-dictionary with a dictionary file: give --srcdict and --tgtdict, with the "
            "same words"
        )
    sizes = {config.nwordssrc, config.nwordstgt} - {None}
    if config.joined_dictionary and len(sizes) > 1:
        raise UsageError("--joined-dictionary: --nwordssrc and --nwordstgt must be equal")
    _check_dictionaries(config)
    return config


def _checked_vectors(config: PreprocessConfig) -> PreprocessConfig:
    """Return the config of a store of vectors with its source named; raise UsageError."""
    for name in (
        "only_target", "tsv", "srcdict", "nwordssrc", "thresholdsrc", "source_sentencepiece",
        "joined_dictionary", "max_ratio", "drop_copies",
    ):  # fmt: skip
        if getattr(config, name) not in (None, False, 0):
            raise UsageError(
                f"--source-vectors cannot be combined with --{name.replace('_', '-')}: a vector is "
                "no word"
            )
    return replace(config, source_lang=config.source_lang or VECTORS)


def _checked_pairs(config: PreprocessConfig) -> PreprocessConfig:
    """Return the config of a store of several pairs; raise UsageError for what it cannot have."""
    single = (
        "source_lang", "target_lang", "only_target", "trainpref", "tsv", "source_sentencepiece",
        "target_sentencepiece", "bpe_codes", "tokenizer_json", "source_vectors",
    )  # fmt: skip
    for name in single:
        if getattr(config, name):
            raise UsageError(f"--pair cannot be combined with --{name.replace('_', '-')}")
    sizes = {config.nwordssrc, config.nwordstgt} - {None}
    if config.joined_dictionary and len(sizes) > 1:
        raise UsageError("--joined-dictionary: --nwordssrc and --nwordstgt must be equal")
    _check_dictionaries(config)
    return config


def _check_dictionaries(config: PreprocessConfig) -> None:
    """Raise UsageError if a limit contradicts the dictionary of its side."""
    for side, path in (("src", config.srcdict), ("tgt", config.tgtdict)):
        for name in _limits(config, side):
            if path is not None:
                raise UsageError(
                    f"--{name} cannot be combined with --{side}dict: all words of {path} are kept"
                )


def texts_of(config: PreprocessConfig) -> tuple[PairTexts, ...]:
    """Return the texts of a checked config, by language pair; raise UsageError."""
    if config.pair:
        values = {
            "--pair": config.pair, "--validpref": config.validpref, "--testpref": config.testpref
        }  # fmt: skip
        return texts_of_pairs(values)
    source, target = config.source_lang, config.target_lang
    splits = (
        corpus_texts(f"--{name}", getattr(config, name), source, target)
        for name in ("trainpref", "validpref", "testpref")
    )
    return (with_vectors(PairTexts(source, target, *splits), config.source_vectors),)


def models_given(
    config: PreprocessConfig, source: TokenizerSpec, target: TokenizerSpec
) -> tuple[str | None, str | None]:
    """Return the trained model's file that the user gave for each side, if any.

    Raises:
        UsageError: a side cannot use its model file, or a limit of its vocabulary.
    """
    specs = (source, target)
    for spec, short in zip(specs, ("src", "tgt"), strict=True):
        check_limits(config, spec, short)
    models = list(_sentencepiece_files(config, specs))
    for name, files in (("subword-nmt", config.bpe_codes), ("huggingface", config.tokenizer_json)):
        for side, path in enumerate(_shared_files(config, specs, name, files)):
            models[side] = path or models[side]
    if config.joined_dictionary:  # one vocabulary needs one model
        return models[0] or models[1], models[1] or models[0]
    return models[0], models[1]


def _sentencepiece_files(
    config: PreprocessConfig, specs: tuple[TokenizerSpec, TokenizerSpec]
) -> tuple[str | None, str | None]:
    """Return the files of --source-sentencepiece and --target-sentencepiece; raise UsageError."""
    models = config.source_sentencepiece, config.target_sentencepiece
    sides = (("source", "src"), ("target", "tgt"))
    for path, spec, (side, short) in zip(models, specs, sides, strict=True):
        if path is not None and spec.name != "sentencepiece":
            raise UsageError(
                f"--{side}-sentencepiece needs --tokenizer sentencepiece, but the tokenizer of "
                f"{spec.language} is {spec.name}"
            )
        if path is not None and spec.model is not None:
            raise UsageError(
                f"--{side}-sentencepiece cannot be combined with --{short}dict "
                f"{getattr(config, short + 'dict')}, which contains a model"
            )
    return models


def check_limits(config: PreprocessConfig, spec: TokenizerSpec, side: str) -> None:
    """Raise UsageError if a limit of a side, src or tgt, contradicts its tokenizer."""
    size = MODEL_KINDS[spec.name].size if spec.name in MODEL_KINDS else ""
    for name in _limits(config, side) if size else ():
        raise UsageError(
            f"--{name} cannot be combined with --tokenizer {spec.name}: the vocabulary has all "
            f"pieces of the model; set their number by {size}"
        )


def _shared_files(
    config: PreprocessConfig,
    specs: tuple[TokenizerSpec, TokenizerSpec],
    name: str,
    files: tuple[str, ...],
) -> tuple[str | None, str | None]:
    """Return each side's file of a repeatable option; raise UsageError.

    One file is for every side that has this tokenizer and no model yet.

    Args:
        name: the tokenizer that reads the files.
        files: what the user gave.
    """
    flag = {"subword-nmt": "--bpe-codes", "huggingface": "--tokenizer-json"}[name]
    if not files:
        return None, None
    if len(files) > (1 if config.only_target else 2):
        most = "once with --only-target" if config.only_target else "once or twice"
        raise UsageError(f"{flag} can be given {most}, not {len(files)} times")
    open_sides = [spec.name == name and spec.model is None for spec in specs]
    if not any(open_sides):
        reason = f"needs --tokenizer {name}"
        if any(spec.name == name for spec in specs):
            reason = "has no effect: --srcdict and --tgtdict contain models"
        raise UsageError(f"{flag} {reason}")
    if len(files) == 2 and not all(open_sides):
        raise UsageError(f"{flag} is given twice, but only one side can use it")
    wanted = (files[0], files[-1])
    source, target = (f if is_open else None for f, is_open in zip(wanted, open_sides, strict=True))
    return source, target


def _limits(config: PreprocessConfig, side: str) -> list[str]:
    """Return the given options that limit the vocabulary of a side, src or tgt."""
    size, threshold = f"nwords{side}", f"threshold{side}"
    options = [size] if getattr(config, size) is not None else []
    return [*options, threshold] if getattr(config, threshold) else options
