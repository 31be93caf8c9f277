"""Options of `s2st train-lexicon`."""

from dataclasses import dataclass

from s2st.options.option_fields import option


@dataclass(frozen=True)
class LexiconConfig:
    """Options of the training of a lexicon."""

    source_lang: str | None = option(None, "source language, for a store of several pairs")
    target_lang: str | None = option(None, "target language, for a store of several pairs")
    iterations: int = option(5, "iterations of EM", minimum=1, maximum=1000)
    min_probability: float = option(
        0.001, "leave out translations of a lower probability", minimum=0, maximum=1
    )
    memory: int = option(
        512, "MiB for a block of sentences; the table is on disk", minimum=64, maximum=1_000_000
    )
    temporary_folder: str | None = option(
        None, "folder for temporary files [default: the folder of the output]"
    )
