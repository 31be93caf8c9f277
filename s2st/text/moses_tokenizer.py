"""The Moses tokenizer, by sacremoses."""

import re
from collections.abc import Sequence

from s2st.text.line_files import split_words
from s2st.text.tokenizers import Tokenizer, TokenizerSpec

WITHOUT_SPACES = ("zh", "ja", "yue", "th", "lo", "km", "my", "bo", "dz")  # between words


class MosesTokenizer(Tokenizer):
    """The Moses tokenizer of sacremoses; docs/how-to/tokenize.md lists differences from Moses."""

    def __init__(self, spec: TokenizerSpec) -> None:
        import sacremoses

        self._language = spec.language
        self._config = spec.config
        self._tokenizer = sacremoses.MosesTokenizer(lang=spec.language)
        self._detokenizer = sacremoses.MosesDetokenizer(lang=spec.language)

    def encode(self, line: str) -> list[str]:
        """Return the Moses tokens of the line."""
        text = self._tokenizer.tokenize(
            line.lower() if self._config.lowercase else line,
            escape=self._config.moses_escape,
            aggressive_dash_splits=self._config.moses_aggressive_dashes,
            return_str=True,
        )
        return split_words(text)

    def decode(self, tokens: Sequence[str]) -> str:
        """Return the detokenized text."""
        joined: str = self._detokenizer.detokenize(list(tokens), unescape=True)
        return " ".join(joined.split("\n"))

    def remarks(self) -> list[str]:
        """Warn of languages without Moses rules and of languages without spaces between words."""
        from sacremoses.corpus import NonbreakingPrefixes

        language = self._language
        warnings = []
        if language in WITHOUT_SPACES:
            warnings.append(
                f"--tokenizer moses does not find the words of language {language!r}: segment the "
                "text first, or use --tokenizer sentencepiece"
            )
        known = {*NonbreakingPrefixes().available_langs.values(), "ja", "ko"}
        if language not in known:
            parts = [*re.split("[^a-z]+", language.lower()), language[:2].lower()]
            near = next((part for part in parts if part in known), None)
            hint = f"; did you mean {near}?" if near else ""
            warnings.append(
                f"--tokenizer moses has no rules for language {language!r}: it uses those of "
                f"English{hint}"
            )
        return warnings
