"""The job of `s2st export`: a copy of a checkpoint without its training state, in some format."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from s2st.errors import OutputError, UsageError
from s2st.models.languages import ANY, LanguageChoice
from s2st.process import durable_files, durable_folders
from s2st.process.torch_import import import_torch

if TYPE_CHECKING:
    from s2st.models.base import Seq2SeqModel
    from s2st.models.model_files import SavedModel
    from s2st.models.model_record import ModelRecord

log = logging.getLogger("s2st")

S2ST = "s2st"
# (checkpoint as one for a single pair, its model, an empty folder): fills the folder
WriteFormat = Callable[["ModelRecord", "Seq2SeqModel", Path], None]


def export(
    checkpoint: str,
    release: str,
    source_lang: str | None = None,
    target_lang: str | None = None,
    format: str = S2ST,
) -> None:
    """Copy the model of a checkpoint to a new folder.

    Args:
        checkpoint: the checkpoint folder.
        release: the folder to create.
        source_lang, target_lang: languages of a model that has a decoder for each target language:
            the release is then an ordinary model for this pair. None copies all of the model. The
            other formats hold a model for one pair only.
        format: one of FORMATS.

    Raises:
        UsageError: the model has no such languages, one decoder for several, or parts that the
            format cannot hold; or a package that the format needs is not installed.
        CheckpointError, InputMissingError: the checkpoint cannot be used.
        OutputError: the folder exists or cannot be written.
    """
    import_torch()
    import torch

    from s2st.models.model_files import load_saved

    final = Path(release)
    if os.path.lexists(final):
        raise OutputError(f"{final}: already exists; name a new folder")
    choice = LanguageChoice(source_lang, target_lang)
    if choice == ANY and format == S2ST:
        saved, model = load_saved(checkpoint, torch.device("cpu"), whole=True)
    else:
        saved, model = load_saved(checkpoint, torch.device("cpu"), whole=True, choice=choice)
    if format == S2ST:
        _write_release(final, saved, model)
    elif saved.record.source_tokenizer.vector_size:
        raise UsageError(
            f"{saved.folder}: the model reads vectors, which the format {format} cannot hold; "
            f"leave out --format"
        )
    else:
        with durable_folders.new_folder(final) as folder:
            CONVERTERS[format](saved.record, model.eval(), folder)
    log.info("wrote %s", final)


def _write_release(final: Path, saved: "SavedModel", model: "Seq2SeqModel") -> None:
    from s2st.models.model_files import write_manifest, write_model_files

    if saved.record.tag is not None:
        raise UsageError(
            f"{saved.folder}: the model has one decoder for all target languages, so none can be "
            "taken out; export without --source-lang and --target-lang"
        )
    weights = model.state_dict()
    with durable_folders.new_folder(final) as folder:
        write_model_files(folder, saved.record, weights)
        write_manifest(folder, saved.record, saved.summary)


def _write_ctranslate2(record: "ModelRecord", model: "Seq2SeqModel", folder: Path) -> None:
    from s2st.models.ctranslate2_format import write_ctranslate2
    from s2st.models.exported_text import describe_text, write_description

    with durable_files.output_errors(folder):
        write_ctranslate2(folder, record, model)
        for path in folder.iterdir():
            durable_files.sync_file(path)
    write_description(folder, record, describe_text(record))


def _write_onnx(record: "ModelRecord", model: "Seq2SeqModel", folder: Path) -> None:
    from s2st.models.onnx_format.write import write_onnx

    write_onnx(folder, record, model)


def _write_word2vec(record: "ModelRecord", model: "Seq2SeqModel", folder: Path) -> None:
    from s2st.models.word2vec_format import write_word2vec

    write_word2vec(folder, record, model)


CONVERTERS: dict[str, WriteFormat] = {
    "ctranslate2": _write_ctranslate2,
    "onnx": _write_onnx,
    "word2vec": _write_word2vec,
}
FORMATS = (S2ST, *CONVERTERS)
