"""One line at the start of a training where a much better choice of model is known."""

from typing import TYPE_CHECKING

from s2st.text.tokenizers import MODEL_KINDS

if TYPE_CHECKING:
    from s2st.data.store import Store

# number of pairs -> what was measured with about so many: "Choose a model for the amount of data"
# in docs/how-to/train.md
MEASURED = {
    10_000: "on 3,000 English-Korean pairs, 12.3 instead of 5.7 character BLEU",
    100_000: "on 30,000 English-French pairs, 20.5 instead of 5.2 BLEU in equal time",
    200_000: "on 200,000 English-French pairs, 9.5 instead of 2.8 BLEU in less time",
}
MAX_PAIRS = max(MEASURED)
WITHOUT_ATTENTION = ("lstm", "gru", "rnn")


def better_choice(architecture: str, store: "Store", pairs: int) -> str | None:
    """Return advice for a corpus, None if no much better choice is known.

    Args:
        architecture: name of the architecture, not of a preset.
        store: the store, for its tokenizers.
        pairs: number of training pairs.
    """
    if architecture not in WITHOUT_ATTENTION or pairs > MAX_PAIRS:
        return None
    trained = any(t.name in MODEL_KINDS for t in (store.source_tokenizer, store.target_tokenizer))
    first = "" if trained else "`preprocess --tokenizer sentencepiece`, then "
    measured = next(text for most, text in MEASURED.items() if pairs <= most)
    return (
        f"for {pairs:,} pairs a much better choice is known: {first}`--arch transformer` and "
        f"`generate --lenpen 1` ({measured}; see docs/how-to/train.md)"
    )
