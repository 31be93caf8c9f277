"""LSTMs of fairseq as attention models of s2st: see `fairseq_format.py`.

Names of tensors and options are those of `LSTMModel` of fairseq 0.12. Its decoder reads its last
output, with attention and without. A layer of its own between decoder and softmax is linear, so it
is multiplied into the softmax.
"""

from collections.abc import Mapping
from typing import Any

import torch

from s2st.errors import DataError
from s2st.models.configs import AttentionConfig
from s2st.models.fairseq_words import word_rows
from s2st.models.foreign_folder import ForeignFolder, take
from s2st.models.foreign_recurrent import (
    cell_layers,
    count_layers,
    fused_layers,
    is_bidirectional,
    widened,
)
from s2st.models.marian_format import Imported
from s2st.models.model_record import ModelRecord
from s2st.options.option_fields import make_config
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import Vocabulary

ENCODER, DECODER = "encoder.lstm", "decoder.layers"
BRIDGE = ("decoder.encoder_hidden_proj", "decoder.encoder_cell_proj")


def lstm_model(
    folder: ForeignFolder,
    fields: Mapping[str, Any],
    words: tuple[Vocabulary, Vocabulary],
    tokenizers: tuple[TokenizerSpec, TokenizerSpec],
) -> Imported:
    """Read an LSTM.

    Args:
        folder: where it is.
        fields: its config.json.
        words, tokenizers: of source and target.

    Raises:
        InputMissingError: a file is missing.
        DataError, CheckpointError: a file is damaged, or describes another kind of model.
    """
    where = f"{folder.path}/model.safetensors"
    theirs = folder.tensors("model.safetensors")
    if any(name.startswith("decoder.adaptive_softmax") for name in theirs):
        raise DataError(f"{where}: the model has an adaptive softmax; s2st reads models without it")
    weight, bias = _softmax(theirs, where)
    config = _config(theirs, fields, bias is not None, folder)
    record = ModelRecord("lstm-attention", config, *words, *tokenizers)
    ours = _weights(theirs, config, where)
    tables = {"source_embedding.weight": words[0], "target_embedding.weight": words[1]}
    ours |= {
        name: word_rows(name.removesuffix(".weight"), ours[name], vocabulary, where)
        for name, vocabulary in tables.items()
    }
    ours["softmax.weight"] = word_rows("softmax", weight, words[1], where)
    if bias is not None:
        ours["softmax.bias"] = word_rows("softmax", bias, words[1], where)
    return Imported(record, ours)


def _softmax(
    theirs: Mapping[str, torch.Tensor], where: str
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(V, H) and (V,) the softmax's weight and bias, with the linear layer before it."""
    weight, bias = theirs.get("decoder.fc_out.weight"), theirs.get("decoder.fc_out.bias")
    if weight is None:  # shared
        weight = take(theirs, "decoder.embed_tokens.weight", where)
    before = theirs.get("decoder.additional_fc.weight")
    if before is None:
        return weight, bias
    shift = take(theirs, "decoder.additional_fc.bias", where).double()
    moved = weight.double() @ shift
    return (weight.double() @ before.double()).float(), (
        moved if bias is None else moved + bias.double()
    ).float()


def _config(
    theirs: Mapping[str, torch.Tensor], fields: Mapping[str, Any], biased: bool,
    folder: ForeignFolder,
) -> AttentionConfig:  # fmt: skip
    where = f"{folder.path}/model.safetensors"
    tables = [take(theirs, f"{side}.embed_tokens.weight", where) for side in ("encoder", "decoder")]
    width = take(theirs, f"{DECODER}.0.weight_hh", where).shape[1]
    both = is_bidirectional(theirs, ENCODER)
    read = take(theirs, f"{ENCODER}.weight_hh_l0", where).shape[1] * (2 if both else 1)
    values = {
        "layers": count_layers(theirs, DECODER + ".{}.weight_hh", where),
        "hidden_size": width,
        "embedding_size": max(table.shape[1] for table in tables),
        "dropout": float(fields.get("dropout") or 0),
        "attention": "general" if "decoder.attention.input_proj.weight" in theirs else "none",
        "bidirectional": both,
        "encoder_hidden_size": None if read == width else read,
        "bridge": "linear" if f"{BRIDGE[0]}.weight" in theirs else "none",
        "input_feeding": True,
        "output_bias": biased,
    }
    return make_config(AttentionConfig, values, f"{folder.path}/config.json")


def _weights(
    theirs: Mapping[str, torch.Tensor], config: AttentionConfig, where: str
) -> dict[str, torch.Tensor]:
    """All tensors but the softmax; the tables have fairseq's order of words."""
    layers, _, embedding, _ = config.sizes()
    source, target = (theirs[f"{side}.embed_tokens.weight"] for side in ("encoder", "decoder"))
    ours = {
        "source_embedding.weight": widened(source, embedding),
        "target_embedding.weight": widened(target, embedding),
    }
    ours |= fused_layers(theirs, ENCODER, "encoder", layers, embedding, where)
    widths = (target.shape[1], embedding)
    ours |= cell_layers(theirs, DECODER, "decoder", layers, widths, where)
    if config.bridge != "none":
        for number, name in enumerate(BRIDGE):
            for kind in ("weight", "bias"):
                ours[f"bridge.parts.{number}.{kind}"] = take(theirs, f"{name}.{kind}", where)
    if config.attention != "none":
        of_query = take(theirs, "decoder.attention.input_proj.weight", where)
        ours["attention.of_state.weight"] = of_query.t().contiguous()  # (W q) . h = q . (W^T h)
        ours["combine.weight"] = take(theirs, "decoder.attention.output_proj.weight", where)
    return ours
