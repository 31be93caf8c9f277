"""Transformer models as folders that CTranslate2 loads, written with CTranslate2's own classes.

CTranslate2 is optional: `pip install "s2st[ctranslate2]"`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from s2st.errors import UsageError
from s2st.models.base import Seq2SeqModel
from s2st.models.configs import TransformerConfig
from s2st.models.extra_packages import import_extra
from s2st.models.language_models import TransformerLM
from s2st.models.model_record import ModelRecord
from s2st.models.registry import ARCHITECTURES
from s2st.models.transformer.encoder_decoder import TransformerModel, TransformerStack
from s2st.models.transformer.layers import MultiHeadAttention, TransformerLayer, sinusoids
from s2st.text.vocabulary import BOS_ID, EOS_ID, SPECIALS, UNK_ID

# names in CTranslate2 of the functions between the feed-forward layers
ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu-tanh": "GELUTanh", "silu": "SWISH"}
MAX_POSITIONS = 4096  # the folder has a table of positions; s2st computes them without a limit


def write_ctranslate2(
    folder: Path, record: ModelRecord, model: Seq2SeqModel, quantization: str | None = None
) -> None:
    """Write a Transformer as a folder for `ctranslate2.Translator` or `ctranslate2.Generator`.

    Both read and write tokens of the model's vocabularies. The translator appends `</s>` to each
    source itself. The generator, for a language model, reads prompts that start with `<s>`.

    Args:
        folder: an existing, empty folder.
        record: architecture and vocabularies of the model, which has a single language pair.
        model: the model; its weights must not be packed (`prepare`).
        quantization: data type of the weights, for example `int8`; None for float32.

    Raises:
        UsageError: CTranslate2 is not installed, or it cannot compute this model.
    """
    check_ctranslate2(record)
    specs = import_extra("ctranslate2.specs", "CTranslate2", "ctranslate2", "--format ctranslate2")
    assert isinstance(model, TransformerModel | TransformerLM)
    config: TransformerConfig = record.config
    activation = getattr(specs.Activation, ACTIVATIONS[config.activation])
    shape = {"pre_norm": config.norm == "pre", "activation": activation}
    if isinstance(model, TransformerModel):
        layers = (len(model.encoder.layers), len(model.decoder.layers))
        spec = specs.TransformerSpec.from_config(layers, config.heads, **shape)
        spec.register_source_vocabulary(list(record.source_vocabulary.tokens))
        spec.register_target_vocabulary(list(record.target_vocabulary.tokens))
        spec.config.decoder_start_token = SPECIALS[BOS_ID]
        spec.config.add_source_eos = config.source_eos
    else:
        depth = len(model.decoder.layers)
        spec = specs.TransformerDecoderModelSpec.from_config(depth, config.heads, **shape)
        spec.register_vocabulary(list(record.target_vocabulary.tokens))
    spec.config.bos_token = SPECIALS[BOS_ID]
    spec.config.eos_token = SPECIALS[EOS_ID]
    spec.config.unk_token = SPECIALS[UNK_ID]
    spec.config.layer_norm_epsilon = config.norm_epsilon
    with torch.inference_mode():
        if isinstance(model, TransformerModel):
            _fill_stack(spec.encoder, spec.encoder.embeddings[0], model.encoder, config)
        _fill_stack(spec.decoder, spec.decoder.embeddings, model.decoder, config)
        spec.decoder.projection.weight = _array(model.softmax.matrix())
        if model.softmax.bias is not None:
            spec.decoder.projection.bias = _array(model.softmax.bias)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))


def check_ctranslate2(record: ModelRecord) -> None:
    """Raise UsageError if CTranslate2 cannot compute a model with this record."""
    config = record.config
    if not isinstance(config, TransformerConfig):
        works = " and ".join(
            entry.name
            for entry in ARCHITECTURES.entries()
            if issubclass(entry.config_type, TransformerConfig) and not entry.overrides
        )
        raise UsageError(
            f"CTranslate2 has no architecture {record.architecture}; only {works} can be converted"
        )
    if record.languages is not None:
        raise UsageError("a model of several language pairs cannot be converted to CTranslate2")
    if config.reverse_target:
        raise UsageError("CTranslate2 cannot write from right to left (--reverse-target)")
    if config.softmax == "adaptive":
        raise UsageError("CTranslate2 has no adaptive softmax (--softmax adaptive)")


def _fill_stack(
    spec: Any, embeddings: Any, stack: TransformerStack, config: TransformerConfig
) -> None:
    """Copy a stack's table, positions and layers. CTranslate2 scales embeddings as s2st does."""
    table = stack.tables[0].weight
    embeddings.weight = _array(table)
    spec.scale_embeddings = config.scale_embeddings
    positions: torch.Tensor | None = stack.positions  # learned
    if positions is None:
        halves = config.positions == "half-sinusoids"
        positions = sinusoids(0, MAX_POSITIONS, stack.width, table, halves)
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
