"""The text of a language model: a prompt as it was given, and the continuation beside it."""

from collections.abc import Sequence

from s2st.text.tokenizers import Tokenizer


def with_prompt(
    tokenizer: Tokenizer, prompt: str, own: Sequence[str], new: Sequence[str], before: bool = False
) -> str:
    """A prompt, unchanged, and the text of the tokens that continue it.

    Tokenizers change text: they join blanks, lower-case it, or do not know a character. So only the
    continuation is made from tokens. Where it begins is seen in the text of all tokens, since a
    comma or the rest of a word stands without a blank.

    Args:
        tokenizer: of the model.
        prompt: the line that was given.
        own: its tokens.
        new: the tokens of the continuation.
        before: the continuation stands before the prompt, as a model from right to left makes it.
    """
    if not new:
        return prompt
    whole = tokenizer.decode([*new, *own] if before else [*own, *new])
    alone = tokenizer.decode(own)
    if before:
        fits = whole.endswith(alone)
        rest = whole[: len(whole) - len(alone)] if fits else tokenizer.decode(new) + " "
        return (rest.rstrip(" ") if prompt[:1].isspace() else rest) + prompt
    rest = whole[len(alone) :] if whole.startswith(alone) else " " + tokenizer.decode(new)
    return prompt + (rest.lstrip(" ") if prompt[-1:].isspace() else rest)
