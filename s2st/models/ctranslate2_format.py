"""Transformer models as folders that CTranslate2 loads, written with CTranslate2's own classes.

CTranslate2 is optional: `pip install "s2st[ctranslate2]"`.
"""

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from s2st.errors import UsageError
from s2st.models.base import Seq2SeqModel
from s2st.models.model_files import ModelRecord
from s2st.models.transformer.encoder_decoder import TransformerModel, TransformerStack
from s2st.models.transformer.layers import MultiHeadAttention, TransformerLayer, sinusoids
from s2st.text.vocabulary import BOS_ID, EOS_ID, SPECIALS, UNK_ID

MAX_POSITIONS = 4096  # the folder has a table of positions; s2st computes them without a limit


def write_ctranslate2(
    folder: Path, record: ModelRecord, model: Seq2SeqModel, quantization: str | None = None
) -> None:
    """Write a Transformer as a folder for `ctranslate2.Translator`.

    The translator reads and writes tokens of the model's vocabularies. It appends `</s>` to each
    source itself.

    Args:
        folder: an existing, empty folder.
        record: architecture and vocabularies of the model.
        model: the model; its weights must not be packed (`prepare`).
        quantization: data type of the weights, for example `int8`; None for float32.

    Raises:
        UsageError: CTranslate2 is not installed, or it cannot compute this model.
    """
    if not isinstance(model, TransformerModel):
        raise UsageError(
            f"CTranslate2 has no architecture {record.architecture}; only transformer models can "
            "be converted"
        )
    if record.languages is not None:
        raise UsageError("a model of several language pairs cannot be converted to CTranslate2")
    if model.config.reverse_target:
        raise UsageError("CTranslate2 cannot write from right to left (--reverse-target)")
    try:
        specs = importlib.import_module("ctranslate2.specs")
    except ImportError as error:
        raise UsageError(
            'CTranslate2 is not installed; run pip install "s2st[ctranslate2]"'
        ) from error
    config = model.config
    spec = specs.TransformerSpec.from_config(
        config.layers, config.heads, pre_norm=config.norm == "pre"
    )
    with torch.inference_mode():
        _fill_stack(spec.encoder, spec.encoder.embeddings[0], model.encoder)
        _fill_stack(spec.decoder, spec.decoder.embeddings, model.decoder)
        spec.decoder.projection.weight = _array(model.softmax.matrix())
    spec.register_source_vocabulary(list(record.source_vocabulary.tokens))
    spec.register_target_vocabulary(list(record.target_vocabulary.tokens))
    spec.config.bos_token = spec.config.decoder_start_token = SPECIALS[BOS_ID]
    spec.config.eos_token = SPECIALS[EOS_ID]
    spec.config.unk_token = SPECIALS[UNK_ID]
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))


def _fill_stack(spec: Any, embeddings: Any, stack: TransformerStack) -> None:
    """Copy a stack's table, positions and layers. CTranslate2 scales embeddings as s2st does."""
    table = stack.tables[0].weight
    embeddings.weight = _array(table)
    positions = sinusoids(0, MAX_POSITIONS, stack.width, table)
    spec.position_encodings.encodings = _array(positions)
    if isinstance(stack.norm, nn.LayerNorm):
        _fill_norm(spec.layer_norm, stack.norm)
    for layer_spec, layer in zip(spec.layer, stack.layers, strict=True):
        assert isinstance(layer, TransformerLayer)
        _fill_norm(layer_spec.self_attention.layer_norm, layer.self_norm)
        _fill_attention(layer_spec.self_attention.linear, layer.self_attention)
        if hasattr(layer, "cross_attention"):
            _fill_norm(layer_spec.attention.layer_norm, layer.cross_norm)
            _fill_attention(layer_spec.attention.linear, layer.cross_attention)
        _fill_norm(layer_spec.ffn.layer_norm, layer.inner_norm)
        _fill_linear(layer_spec.ffn.linear_0, layer.inner)
        _fill_linear(layer_spec.ffn.linear_1, layer.outer)


def _fill_attention(specs: list[Any], attention: MultiHeadAttention) -> None:
    """Copy an attention: queries, keys and values in one product, or queries in their own."""
    first = [attention.query, attention.memory]
    if len(specs) == 2:
        _fill_linear(specs[0], *first)
    else:
        _fill_linear(specs[0], first[0])
        _fill_linear(specs[1], first[1])
    _fill_linear(specs[-1], attention.output)


def _fill_linear(spec: Any, *parts: nn.Module) -> None:
    """Copy linear layers whose outputs are concatenated."""
    spec.weight = _array(torch.cat([part.get_parameter("weight") for part in parts]))
    spec.bias = _array(torch.cat([part.get_parameter("bias") for part in parts]))


def _fill_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: torch.Tensor) -> Any:
    """The tensor as a float32 array of its own."""
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy().copy()
