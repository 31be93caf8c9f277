"""The jobs of `s2st import`: a checkpoint from the model of another program."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2st.errors import OutputError
from s2st.process import durable_folders
from s2st.process.torch_import import import_torch

if TYPE_CHECKING:
    from s2st.models.marian_format import Imported

log = logging.getLogger("s2st")


def import_marian(
    folder: str,
    checkpoint: str,
    source_lang: str | None = None,
    target_langs: Sequence[str] = (),
) -> None:
    """Make a checkpoint of a Marian model in the format of Hugging Face.

    Args:
        folder: the model: config.json, model.safetensors, source.spm, target.spm, vocab.json.
        checkpoint: the folder to create.
        source_lang, target_langs: language codes; by default those of the model.

    Raises:
        OutputError: the checkpoint exists or cannot be written.
        S2STError: the folder cannot be read; see `s2st.models.marian_format.read_marian`.
    """

    def read() -> "Imported":
        from s2st.models.marian_format import read_marian

        return read_marian(folder, source_lang, target_langs)

    _import(read, folder, checkpoint)


def import_gpt2(folder: str, checkpoint: str, language: str = "en") -> None:
    """Make a checkpoint of a GPT-2 model in the format of Hugging Face.

    Args:
        folder: the model: config.json, model.safetensors, and tokenizer.json or vocab.json with
            merges.txt.
        checkpoint: the folder to create.
        language: language code of its text.

    Raises:
        OutputError: the checkpoint exists or cannot be written.
        S2STError: the folder cannot be read; see `s2st.models.gpt2_format.read_gpt2`.
    """

    def read() -> "Imported":
        from s2st.models.gpt2_format import read_gpt2

        return read_gpt2(folder, language)

    _import(read, folder, checkpoint)


def import_fairseq(
    folder: str, checkpoint: str, source_lang: str | None = None, target_lang: str | None = None
) -> None:
    """Make a checkpoint of a converted Transformer or LSTM of fairseq.

    Args:
        folder: the model: config.json, model.safetensors, and a dict.LANGUAGE.txt for each side.
        checkpoint: the folder to create.
        source_lang, target_lang: language codes; by default those of config.json.

    Raises:
        OutputError: the checkpoint exists or cannot be written.
        S2STError: the folder cannot be read; see `s2st.models.fairseq_format.read_fairseq`.
    """

    def read() -> "Imported":
        from s2st.models.fairseq_format import read_fairseq

        return read_fairseq(folder, source_lang, target_lang)

    _import(read, folder, checkpoint)


def import_onmt(folder: str, checkpoint: str, source_lang: str, target_lang: str) -> None:
    """Make a checkpoint of a model of OpenNMT-py that was converted to safetensors and JSON.

    Args:
        folder: the model: config.json, vocab.json and model.safetensors.
        checkpoint: the folder to create.
        source_lang, target_lang: language codes.

    Raises:
        OutputError: the checkpoint exists or cannot be written.
        S2STError: the folder cannot be read; see `s2st.models.onmt_format.read_onmt`.
    """

    def read() -> "Imported":
        from s2st.models.onmt_format import read_onmt

        return read_onmt(folder, source_lang, target_lang)

    _import(read, folder, checkpoint)


def _import(read: Callable[[], "Imported"], source: str, checkpoint: str) -> None:
    import_torch()
    from s2st.models.model_building import model_with_weights
    from s2st.models.model_files import check_weights, write_manifest, write_model_files

    final = Path(checkpoint)
    if os.path.lexists(final):
        raise OutputError(f"{final}: already exists; name a new folder")
    found = read()
    check_weights(
        found.record, found.weights, f"{source}/config.json", f"{source}/model.safetensors"
    )
    model = model_with_weights(found.record, found.weights)
    with durable_folders.new_folder(final) as folder:
        write_model_files(folder, found.record, model.state_dict())
        write_manifest(folder, found.record, {})
    log.info("wrote %s", final)
