"""Output text of a prompted language model: the unchanged prompt joined with its continuation."""

from collections.abc import Sequence

from s2st.text.tokenizers import Tokenizer


def with_prompt(
    tokenizer: Tokenizer,
    prompt: str,
    prompt_tokens: Sequence[str],
    new_tokens: Sequence[str],
    before: bool = False,
) -> str:
    """Return the unchanged prompt joined with the text of the tokens that continue it.

    Tokenizers change text: they merge spaces, lower-case it, or lack a character. So only the
    continuation is made from tokens. It is cut from the text of all tokens, because only that text
    shows whether a space separates it from the prompt: none precedes a comma or the rest of a word.

    Args:
        tokenizer: the model's tokenizer.
        prompt: the input line.
        prompt_tokens: the tokens of the prompt.
        new_tokens: the tokens of the continuation.
        before: whether the continuation precedes the prompt (right-to-left model).
    """
    if not new_tokens:
        return prompt
    tokens = [*new_tokens, *prompt_tokens] if before else [*prompt_tokens, *new_tokens]
    text = tokenizer.decode(tokens)
    prompt_text = tokenizer.decode(prompt_tokens)
    if before:
        fits = text.endswith(prompt_text)
        rest = text[: len(text) - len(prompt_text)] if fits else tokenizer.decode(new_tokens) + " "
        return (rest.rstrip(" ") if prompt[:1].isspace() else rest) + prompt
    fits = text.startswith(prompt_text)
    rest = text[len(prompt_text) :] if fits else " " + tokenizer.decode(new_tokens)
    return prompt + (rest.lstrip(" ") if prompt[-1:].isspace() else rest)
