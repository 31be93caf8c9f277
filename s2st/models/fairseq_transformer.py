"""Transformers of fairseq as Transformers of s2st: see `fairseq_format.py`.

Names of tensors and options are those of `TransformerModel` of fairseq 0.12.

fairseq starts a target with `</s>` where s2st has `<s>`. Its sinusoids have other frequencies, and
start at position 2; here they are a table of learned positions.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

from s2st.errors import DataError
from s2st.models.configs import TransformerConfig
from s2st.models.fairseq_words import word_rows
from s2st.models.foreign_folder import ForeignFolder, integer, take
from s2st.models.marian_format import Imported, attention_and_parts
from s2st.models.model_record import ModelRecord
from s2st.options.option_fields import make_config
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import Vocabulary

FIRST = 2  # position of the first token: fairseq counts from the id of its padding, 1
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_accurate": "gelu-tanh", "swish": "silu"}
# what the model must not have
ABSENT = (
    "adaptive_softmax_cutoff", "layernorm_embedding", "no_token_positional_embeddings",
    "no_cross_attention", "cross_self_attention", "no_decoder_final_norm", "base_layers",
    "quant_noise_pq",
)  # fmt: skip


def transformer_model(
    folder: ForeignFolder,
    fields: Mapping[str, Any],
    words: tuple[Vocabulary, Vocabulary],
    tokenizers: tuple[TokenizerSpec, TokenizerSpec],
) -> Imported:
    """Read a Transformer.

    Args:
        folder: where it is.
        fields: its config.json.
        words, tokenizers: of source and target.

    Raises:
        InputMissingError: a file is missing.
        DataError, CheckpointError: a file is damaged, or describes another kind of model.
    """
    _check_supported(fields, f"{folder.path}/config.json")
    tensors = folder.tensors("model.safetensors")
    record = ModelRecord("transformer", _config(fields, folder), *words, *tokenizers)
    return Imported(record, _weights(tensors, record, fields, folder))


def _check_supported(fields: Mapping[str, Any], where: str) -> None:
    for name in ABSENT:
        if fields.get(name):
            raise DataError(f"{where}: {name} is {fields[name]!r}; s2st reads models without it")
    for name in (
        "attention_heads",
        "ffn_embed_dim",
        "embed_dim",
        "normalize_before",
        "learned_pos",
    ):
        pair = fields.get(f"encoder_{name}"), fields.get(f"decoder_{name}")
        if bool(pair[0]) != bool(pair[1]) or (pair[0] or 0) != (pair[1] or 0):
            raise DataError(f"{where}: encoder_{name} and decoder_{name} differ: {pair}")
    if fields.get("activation_fn", "relu") not in ACTIVATIONS:
        raise DataError(
            f"{where}: activation_fn is {fields['activation_fn']!r}; s2st has "
            f"{', '.join(ACTIVATIONS)}"
        )


def _config(fields: Mapping[str, Any], folder: ForeignFolder) -> TransformerConfig:
    values = {
        "tie_embeddings": "none",  # the first token of a target has another row in the softmax
        "layers": integer(fields, "encoder_layers", folder),
        "decoder_layers": integer(fields, "decoder_layers", folder),
        "hidden_size": integer(fields, "encoder_embed_dim", folder),
        "heads": integer(fields, "encoder_attention_heads", folder),
        "feedforward_size": integer(fields, "encoder_ffn_embed_dim", folder),
        "dropout": float(fields.get("dropout") or 0),
        "attention_dropout": float(fields.get("attention_dropout") or 0),
        "norm": "pre" if fields.get("encoder_normalize_before") else "post",
        "activation": ACTIVATIONS[fields.get("activation_fn", "relu")],
        "positions": "learned",
        "max_positions": _longest(fields),
        "scale_embeddings": not fields.get("no_scale_embedding"),
    }
    return make_config(TransformerConfig, values, f"{folder.path}/config.json")


def _longest(fields: Mapping[str, Any]) -> int:
    """The longest sentence in tokens, on both sides; 1024 is fairseq's default."""
    found = [fields.get(f"max_{side}_positions") for side in ("source", "target")]
    return min([value for value in found if isinstance(value, int) and value > 0] or [1024])


def _weights(
    theirs: Mapping[str, torch.Tensor],
    record: ModelRecord,
    fields: Mapping[str, Any],
    folder: ForeignFolder,
) -> dict[str, torch.Tensor]:
    """The tensors of s2st's Transformer."""
    where = f"{folder.path}/model.safetensors"
    config: TransformerConfig = record.config
    source = take(theirs, "encoder.embed_tokens.weight", where)
    target = take(theirs, "decoder.embed_tokens.weight", where)
    output = theirs.get("decoder.output_projection.weight", target)
    ours: dict[str, torch.Tensor] = {}
    for name, table, vocabulary in (
        ("source_embedding", source, record.source_vocabulary),
        ("target_embedding", target, record.target_vocabulary),
        ("softmax", output, record.target_vocabulary),
    ):
        ours[f"{name}.weight"] = word_rows(name, table, vocabulary, where)
    for side, layers in (("encoder", config.layers), ("decoder", config.decoder_layers)):
        ours[f"{side}.positions"] = _positions(theirs, side, fields, config, where)
        if config.norm == "pre":
            for kind in ("weight", "bias"):
                ours[f"{side}.norm.{kind}"] = take(theirs, f"{side}.layer_norm.{kind}", where)
        for number in range(layers or 0):
            name = f"{side}.layers.{number}."
            ours |= attention_and_parts(theirs, name, name, where)
    return ours


def _positions(
    theirs: Mapping[str, torch.Tensor],
    side: str,
    fields: Mapping[str, Any],
    config: TransformerConfig,
    where: str,
) -> torch.Tensor:
    """(P, H) the table of positions."""
    if fields.get(f"{side}_learned_pos"):
        table = take(theirs, f"{side}.embed_positions.weight", where)[FIRST:]
        return table[: config.max_positions].clone()
    assert config.hidden_size is not None
    return fairseq_sinusoids(config.max_positions, config.hidden_size)


def fairseq_sinusoids(count: int, width: int, first: int = FIRST) -> torch.Tensor:
    """(count, width) the sinusoids that fairseq adds to the tokens of a sentence.

    Args:
        first: position of the first token.
    """
    half = width // 2
    rates = torch.exp(torch.arange(half).double() * (-math.log(10000) / max(1, half - 1)))
    angles = torch.arange(first, first + count).double().unsqueeze(1) * rates
    table = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    return torch.nn.functional.pad(table, (0, width - 2 * half)).float()
