"""Recurrent models of OpenNMT-py as attention models of s2st: see `onmt_format.py`.

Names of tensors are those of `RNNEncoder`, `StdRNNDecoder` and `InputFeedRNNDecoder`. The attention
`mlp` compares the state after a word, has biases, and its features are linear.
"""

from collections.abc import Mapping
from typing import Any

import torch

from s2st.models.configs import AttentionConfig
from s2st.models.foreign_folder import ForeignFolder, take
from s2st.models.foreign_recurrent import (
    cell_layers,
    count_layers,
    fused_layers,
    is_bidirectional,
)
from s2st.models.onmt_support import check_supported
from s2st.options.option_fields import make_config

ENCODER, CELLS, FUSED = "encoder.rnn", "decoder.rnn.layers", "decoder.rnn"
TABLE = "{}.embeddings.make_embedding.emb_luts.0.weight"
# option -> the values with which s2st reads a model
SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "coverage_attn": (False,),
    "context_gate": (None, ""),
    "global_attention_function": ("softmax",),
}


def recurrent_model(
    theirs: Mapping[str, torch.Tensor], fields: Mapping[str, Any], folder: ForeignFolder
) -> tuple[AttentionConfig, dict[str, torch.Tensor]]:
    """The config, and all tensors but the tables of words and the softmax.

    Args:
        theirs: their tensors.
        fields: config.json.
        folder: where they are.

    Raises:
        DataError, CheckpointError: a tensor is missing, or s2st lacks an option.
    """
    check_supported(fields, SUPPORTED, f"{folder.path}/config.json")
    where = f"{folder.path}/model.safetensors"
    feeds = f"{CELLS}.0.weight_ih" in theirs
    config = _config(theirs, fields, feeds, folder)
    layers, width, embedding, _ = config.sizes()
    ours = fused_layers(theirs, ENCODER, "encoder", layers, embedding, where)
    if feeds:
        widths = take(theirs, TABLE.format("decoder"), where).shape[1], embedding
        ours |= cell_layers(theirs, CELLS, "decoder", layers, widths, where)
    else:
        ours |= fused_layers(theirs, FUSED, "decoder", layers, embedding, where)
    if config.bridge != "none":
        ours |= _bridge(theirs, layers * width, where)
    if config.attention != "none":
        ours |= _attention(theirs, config, where)
    return config, ours


def _config(
    theirs: Mapping[str, torch.Tensor], fields: Mapping[str, Any], feeds: bool,
    folder: ForeignFolder,
) -> AttentionConfig:  # fmt: skip
    where = f"{folder.path}/model.safetensors"
    tables = [take(theirs, TABLE.format(side), where) for side in ("encoder", "decoder")]
    weights = (CELLS + ".{}.weight_hh") if feeds else (FUSED + ".weight_hh_l{}")
    attention = _kind(theirs)
    dropout = fields.get("dropout") or 0
    values: dict[str, Any] = {
        "layers": count_layers(theirs, weights, where),
        "hidden_size": theirs[weights.format(0)].shape[1],
        "embedding_size": max(table.shape[1] for table in tables),
        "dropout": float(dropout[0] if isinstance(dropout, list) else dropout),
        "attention": attention,
        "bidirectional": is_bidirectional(theirs, ENCODER),
        "bridge": "relu" if "encoder.bridge.0.weight" in theirs else "none",
        "input_feeding": feeds,
    }
    if attention == "additive":
        values |= {"attention_bias": True, "attention_output": "linear"}
        values["attention_query"] = "current-state"
    return make_config(AttentionConfig, values, f"{folder.path}/config.json")


def _kind(theirs: Mapping[str, torch.Tensor]) -> str:
    """The attention by the name in s2st."""
    for name, kind in (("context", "additive"), ("in", "general"), ("out", "dot")):
        if f"decoder.attn.linear_{name}.weight" in theirs:
            return kind
    return "none"


def _attention(
    theirs: Mapping[str, torch.Tensor], config: AttentionConfig, where: str
) -> dict[str, torch.Tensor]:
    name = "decoder.attn.linear"
    ours = {"combine.weight": take(theirs, f"{name}_out.weight", where)}
    if config.attention == "general":  # (W q) . h = q . (W^T h)
        ours["attention.of_state.weight"] = theirs[f"{name}_in.weight"].t().contiguous()
    if config.attention == "additive":
        ours["combine.bias"] = take(theirs, f"{name}_out.bias", where)
        ours["attention.of_state.weight"] = theirs[f"{name}_context.weight"]
        for kind in ("weight", "bias"):
            ours[f"attention.of_query.{kind}"] = take(theirs, f"{name}_query.{kind}", where)
        ours["attention.vector"] = take(theirs, "decoder.attn.v.weight", where).flatten()
    return ours


def _bridge(theirs: Mapping[str, torch.Tensor], total: int, where: str) -> dict[str, torch.Tensor]:
    """The bridge, for the states of all layers together (`total` wide).

    With a bidirectional encoder, theirs takes half of these numbers, and is applied to both halves.
    """
    ours = {}
    for number in range(2):
        name = f"encoder.bridge.{number}"
        if number and f"{name}.weight" not in theirs:
            break  # a GRU has one state
        weight, bias = (take(theirs, f"{name}.{kind}", where) for kind in ("weight", "bias"))
        times = max(1, total // len(weight))
        ours[f"bridge.parts.{number}.weight"] = torch.block_diag(*[weight] * times)
        ours[f"bridge.parts.{number}.bias"] = bias.repeat(times)
    return ours
