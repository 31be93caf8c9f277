"""Transformers of OpenNMT-py as Transformers of s2st: see `onmt_format.py`.

Names of tensors are those of `TransformerEncoder` and `TransformerDecoder`, whose layers are
pre-norm.
"""

from collections.abc import Mapping
from typing import Any

import torch

from s2st.errors import DataError
from s2st.models.configs import TransformerConfig
from s2st.models.fairseq_transformer import fairseq_sinusoids
from s2st.models.foreign_folder import ForeignFolder, integer, take, text_of
from s2st.models.onmt_support import check_supported
from s2st.options.option_fields import make_config

MAX_POSITIONS = 5000  # rows of their table of positions
# option -> the values with which s2st reads a model
SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "position_encoding": (True,),
    "position_encoding_type": ("SinusoidalInterleaved", "SinusoidalConcat"),
    "self_attn_type": ("scaled-dot", "scaled-dot-flash"),
    "pos_ffn_activation_fn": ("relu", "gelu"),
    "layer_norm": ("standard",),
    "max_relative_positions": (0,),
    "relative_positions_buckets": (0,),
    "num_kv": (0,),
    "num_experts": (0,),
    "parallel_residual": (False,),
    "sliding_window": (0,),
}
NORMS = {
    "encoder": {"layer_norm": "self_norm", "feed_forward.layer_norm": "inner_norm"},
    "decoder": {
        "layer_norm_1": "self_norm", "layer_norm_2": "cross_norm",
        "feed_forward.layer_norm": "inner_norm",
    },
}  # fmt: skip


def transformer_model(
    theirs: Mapping[str, torch.Tensor], fields: Mapping[str, Any], folder: ForeignFolder
) -> tuple[TransformerConfig, dict[str, torch.Tensor]]:
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
    config = _config(fields, folder)
    assert config.hidden_size is not None
    ours: dict[str, torch.Tensor] = {}
    sides = (
        ("encoder", "transformer", config.layers),
        ("decoder", "transformer_layers", config.decoder_layers),
    )
    for side, name, layers in sides:
        if config.positions == "learned":
            table = fairseq_sinusoids(MAX_POSITIONS, config.hidden_size, 0)
            ours[f"{side}.positions"] = table
        for kind in ("weight", "bias"):
            ours[f"{side}.norm.{kind}"] = take(theirs, f"{side}.layer_norm.{kind}", where)
        for number in range(layers or 0):
            ours |= _layer(theirs, side, f"{side}.{name}.{number}", number, where)
    return config, ours


def _config(fields: Mapping[str, Any], folder: ForeignFolder) -> TransformerConfig:
    where = f"{folder.path}/config.json"
    if fields.get("enc_hid_size") != fields.get("dec_hid_size"):
        raise DataError(f"{where}: enc_hid_size and dec_hid_size differ")
    halves = text_of(fields.get("position_encoding_type")) == "SinusoidalConcat"
    dropouts = [fields.get(name) or 0 for name in ("dropout", "attention_dropout")]
    first = [float(value[0] if isinstance(value, list) else value) for value in dropouts]
    values = {
        "layers": integer(fields, "enc_layers", folder),
        "decoder_layers": integer(fields, "dec_layers", folder),
        "hidden_size": integer(fields, "dec_hid_size", folder),
        "heads": integer(fields, "heads", folder),
        "feedforward_size": integer(fields, "transformer_ff", folder),
        "dropout": first[0],
        "attention_dropout": first[1],
        "norm": "pre",
        "activation": text_of(fields.get("pos_ffn_activation_fn")) or "relu",
        "positions": "learned" if halves else "sinusoids",
        "max_positions": MAX_POSITIONS,
        "norm_epsilon": float(fields.get("norm_eps") or 1e-6),
    }
    return make_config(TransformerConfig, values, where)


def _layer(
    theirs: Mapping[str, torch.Tensor], side: str, name: str, number: int, where: str
) -> dict[str, torch.Tensor]:
    """The tensors of one layer: ours have keys and values in one matrix."""
    ours, after = {}, f"{side}.layers.{number}."
    attentions = {"self_attn": "self_attention"}
    if side == "decoder":
        attentions["context_attn"] = "cross_attention"
    for before, own in attentions.items():
        parts = {
            part: _linear(theirs, f"{name}.{before}.{part}", where)
            for part in ("linear_keys", "linear_values", "linear_query", "final_linear")
        }
        for place, kind in enumerate(("weight", "bias")):
            key, value, query, output = (part[place] for part in parts.values())
            ours[f"{after}{own}.query.{kind}"] = query
            ours[f"{after}{own}.memory.{kind}"] = torch.cat([key, value])
            ours[f"{after}{own}.output.{kind}"] = output
    for before, own in {"w_1": "inner", "w_2": "outer"}.items():
        pair = _linear(theirs, f"{name}.feed_forward.{before}", where)
        ours[f"{after}{own}.weight"], ours[f"{after}{own}.bias"] = pair
    for before, own in NORMS[side].items():
        for kind in ("weight", "bias"):
            ours[f"{after}{own}.{kind}"] = take(theirs, f"{name}.{before}.{kind}", where)
    return ours


def _linear(
    theirs: Mapping[str, torch.Tensor], name: str, where: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a layer; a missing bias is 0."""
    weight = take(theirs, f"{name}.weight", where)
    bias = theirs.get(f"{name}.bias")
    return weight, weight.new_zeros(len(weight)) if bias is None else bias
