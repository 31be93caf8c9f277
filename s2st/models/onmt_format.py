"""Models of OpenNMT-py, converted to safetensors and JSON, as models of s2st.

A folder has `config.json` (the options of the training), `vocab.json` and `model.safetensors`.
docs/other-toolkits.md has the script that makes it in the user's own environment, since
OpenNMT-py's checkpoints are pickled. Names of tensors and options are those of OpenNMT-py 3.5.

Its encoders read no `</s>`, and its softmax has a bias.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from s2st.errors import DataError
from s2st.models.configs import AttentionConfig, TransformerConfig
from s2st.models.foreign_folder import CONVERT, ForeignFolder, take, text_of
from s2st.models.foreign_recurrent import widened
from s2st.models.marian_format import NEVER, Imported
from s2st.models.model_record import ModelRecord
from s2st.models.onmt_rnn import TABLE, recurrent_model
from s2st.models.onmt_support import check_supported
from s2st.models.onmt_transformer import transformer_model
from s2st.models.onmt_words import Words, picked, read_words
from s2st.text.tokenizers import NoneConfig, TokenizerSpec

# option -> the values with which s2st reads a model
SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "model_task": ("seq2seq", "SEQ2SEQ", "ModelTask.SEQ2SEQ"),
    "model_type": ("text",),
    "copy_attn": (False,),
    "lora_layers": ([],),
    "lora_embedding": (False,),
    "quant_layers": ([],),
    "n_src_feats": (0,),
}


def read_onmt(path: str | Path, source_lang: str, target_lang: str) -> Imported:
    """Read a folder with a converted Transformer, LSTM or GRU of OpenNMT-py.

    Args:
        path: the folder.
        source_lang, target_lang: language codes.

    Raises:
        InputMissingError: a file is missing.
        DataError, CheckpointError: a file is damaged, or describes another kind of model.
    """
    folder = ForeignFolder(path, CONVERT)
    fields = folder.json("config.json")
    where = f"{folder.path}/config.json"
    check_supported(fields, SUPPORTED, where)
    architecture = _architecture(fields, where)
    words = read_words(folder)
    theirs = folder.tensors("model.safetensors")
    config: AttentionConfig | TransformerConfig
    if architecture == "transformer":
        config, ours = transformer_model(theirs, fields, folder)
    else:
        config, ours = recurrent_model(theirs, fields, folder)
    tied = _tied(fields, words, theirs, config)
    config = replace(config, tie_embeddings=tied, source_eos=False, output_bias=True)
    ours |= _tables(theirs, words, config, f"{folder.path}/model.safetensors")
    specs = [TokenizerSpec("none", NoneConfig(), name) for name in (source_lang, target_lang)]
    vocabularies = [side.vocabulary for side in words]
    record = ModelRecord(architecture, config, vocabularies[0], vocabularies[1], specs[0], specs[1])
    return Imported(record, ours)


def _architecture(fields: Mapping[str, Any], where: str) -> str:
    """The architecture by its name in s2st."""
    kinds = tuple(text_of(fields.get(f"{side}_type")) for side in ("encoder", "decoder"))
    if kinds == ("transformer", "transformer"):
        return "transformer"
    if kinds[0] not in ("rnn", "brnn") or kinds[1] not in ("rnn", "ifrnn"):
        raise DataError(
            f"{where}: the model has the encoder {kinds[0]!r} and the decoder {kinds[1]!r}; s2st "
            "reads transformer with transformer, and rnn or brnn with rnn"
        )
    cell = text_of(fields.get("rnn_type")).lower()
    if cell not in ("lstm", "gru"):
        raise DataError(f"{where}: rnn_type is {fields.get('rnn_type')!r}; s2st has LSTM and GRU")
    return f"{cell}-attention"


def _tied(
    fields: Mapping[str, Any], words: tuple[Words, Words], theirs: Mapping[str, torch.Tensor],
    config: AttentionConfig | TransformerConfig,
) -> str:  # fmt: skip
    """Which tables are one in s2st: those that are one there, and have the same rows."""
    source, target = words
    width = theirs.get(TABLE.format("decoder"), torch.empty(0, 0)).shape[-1]
    shared = fields.get("share_decoder_embeddings") and target.rows == target.outputs
    if not shared or width != config.hidden_size:
        return "none"
    every = fields.get("share_embeddings") and source == target
    return "all" if every else "output"


def _tables(
    theirs: Mapping[str, torch.Tensor], words: tuple[Words, Words], config: Any, where: str
) -> dict[str, torch.Tensor]:
    """The tables of words, and the softmax."""
    target = words[1]
    tables = [take(theirs, TABLE.format(side), where) for side in ("encoder", "decoder")]
    width = getattr(config, "embedding_size", config.hidden_size)
    ours = {
        f"{name}_embedding.weight": widened(picked(table, side.rows, 0, where), width)
        for name, table, side in zip(("source", "target"), tables, words, strict=True)
    }
    bias = take(theirs, "generator.bias", where)
    ours["softmax.bias"] = picked(bias, target.outputs, NEVER, where)
    if config.tie_embeddings == "none":
        weight = theirs.get("generator.weight", tables[1])
        ours["softmax.weight"] = picked(weight, target.outputs, 0, where)
    return ours
