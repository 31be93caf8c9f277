"""The job of `s2st export`: a copy of a checkpoint without optimizer and training state."""

import logging
import os
from pathlib import Path

from s2st.errors import OutputError, UsageError
from s2st.models.languages import ANY, LanguageChoice
from s2st.process import durable_folders
from s2st.process.torch_import import import_torch

log = logging.getLogger("s2st")


def export(
    checkpoint: str, release: str, source_lang: str | None = None, target_lang: str | None = None
) -> None:
    """Copy the model files of a checkpoint to a new folder.

    Args:
        checkpoint: the checkpoint folder.
        release: the folder to create.
        source_lang, target_lang: languages of a model that has a decoder for each target language:
            the release is then an ordinary model for this pair. None copies all of the model.

    Raises:
        UsageError: the model has no such languages, or one decoder for several.
        CheckpointError, InputMissingError: the checkpoint cannot be used.
        OutputError: the folder exists or cannot be written.
    """
    import_torch()
    import torch

    from s2st.models.model_files import load_saved, write_manifest, write_model_files

    final = Path(release)
    if os.path.lexists(final):
        raise OutputError(f"{final}: already exists; name a new folder")
    choice = LanguageChoice(source_lang, target_lang)
    if choice == ANY:
        saved, model = load_saved(checkpoint, torch.device("cpu"), whole=True)
    else:
        saved, model = load_saved(checkpoint, torch.device("cpu"), whole=True, choice=choice)
    if saved.record.tag is not None:
        raise UsageError(
            f"{checkpoint}: the model has one decoder for all target languages, so none can be "
            "taken out; export without --source-lang and --target-lang"
        )
    weights = model.state_dict()
    with durable_folders.new_folder(final) as folder:
        write_model_files(folder, saved.record, weights)
        write_manifest(folder, saved.record, saved.summary)
    log.info("wrote %s", final)
