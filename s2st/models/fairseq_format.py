"""Models of fairseq, converted to safetensors and JSON, as models of s2st.

A folder has `config.json` (the options of the model), `model.safetensors`, and the dictionaries
`dict.SOURCE.txt` and `dict.TARGET.txt`. docs/other-toolkits.md has the script that makes it in the
user's own environment, since fairseq's checkpoints are pickled.
"""

from pathlib import Path

from s2st.errors import DataError, UsageError
from s2st.models.fairseq_lstm import lstm_model
from s2st.models.fairseq_transformer import transformer_model
from s2st.models.foreign_folder import CONVERT, ForeignFolder, text_of
from s2st.models.marian_format import Imported
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import Vocabulary


def read_fairseq(
    path: str | Path, source_lang: str | None = None, target_lang: str | None = None
) -> Imported:
    """Read a folder with a converted Transformer or LSTM of fairseq.

    Args:
        path: the folder.
        source_lang, target_lang: language codes; None takes those of config.json.

    Raises:
        InputMissingError: a file is missing.
        DataError, CheckpointError: a file is damaged, or describes another kind of model.
        UsageError: a language is missing.
    """
    folder = ForeignFolder(path, CONVERT)
    fields = folder.json("config.json")
    where = f"{folder.path}/config.json"
    arch = text_of(fields.get("arch") or fields.get("_name"))
    if "lm" in arch or not arch.startswith(("transformer", "lstm")):
        raise DataError(
            f"{where}: the model is {arch!r}; s2st reads fairseq's transformer and lstm"
        )
    source = source_lang or text_of(fields.get("source_lang"))
    target = target_lang or text_of(fields.get("target_lang"))
    if not source or not target:
        side = "target" if source else "source"
        raise UsageError(f"{where} does not say the {side} language; name it by --{side}-lang")
    words = [Vocabulary.load(folder.path / f"dict.{name}.txt") for name in (source, target)]
    specs = [TokenizerSpec("none", NoneConfig(), name) for name in (source, target)]
    read = lstm_model if arch.startswith("lstm") else transformer_model
    return read(folder, fields, (words[0], words[1]), (specs[0], specs[1]))
