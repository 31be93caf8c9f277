"""One line at the start of a training where a much better choice of model is known."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s2st.data.store import Store

MAX_PAIRS = 10_000  # measured with 3,000 pairs; see "Which model for how much data" in the guide
WITHOUT_ATTENTION = ("lstm", "gru", "rnn")


def better_choice(architecture: str, store: "Store", pairs: int) -> str | None:
    """Return advice for a small corpus, None if no much better choice is known.

    Args:
        architecture: name of the architecture, not of a preset.
        store: the store, for its tokenizers.
        pairs: number of training pairs.
    """
    tokenizers = {store.source_tokenizer.name, store.target_tokenizer.name}
    if architecture not in WITHOUT_ATTENTION or pairs > MAX_PAIRS or "sentencepiece" in tokenizers:
        return None
    return (
        f"for {pairs:,} pairs a much better choice is known: on 3,000 English-Korean pairs a small "
        "Transformer reached 9.13 character BLEU and the default reversed LSTM 4.67; use "
        "`preprocess --tokenizer sentencepiece`, `train --arch transformer` and `generate "
        "--lenpen 1`"
    )
