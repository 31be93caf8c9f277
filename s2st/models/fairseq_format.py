"""Transformers of fairseq, converted to safetensors and JSON, as Transformers of s2st.

A folder has `config.json` (the options of the model), `model.safetensors`, and the dictionaries
`dict.SOURCE.txt` and `dict.TARGET.txt`. docs/other-toolkits.md has the script that makes it in the
user's own environment, since fairseq's checkpoints are pickled. Names of tensors and options are
those of `TransformerModel` of fairseq 0.12.

fairseq starts a target with `</s>` where s2st has `<s>`. Its sinusoids have other frequencies, and
start at position 2; here they are a table of learned positions.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from s2st.errors import DataError, UsageError
from s2st.models.foreign_folder import ForeignFolder, integer, take, text_of
from s2st.models.marian_format import Imported, attention_and_parts
from s2st.models.model_record import ModelRecord
from s2st.models.registry import TransformerConfig
from s2st.options.option_fields import make_config
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

FIRST = 2  # position of the first token: fairseq counts from the id of its padding, 1
SOURCE_ROWS = (1, 0, 2, 3)  # fairseq's ids of <pad> <s> </s> <unk>
TARGET_ROWS = (1, 2, 2, 3)  # as read by the decoder, which starts from </s>
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_accurate": "gelu-tanh", "swish": "silu"}
# what the model must not have
ABSENT = (
    "adaptive_softmax_cutoff", "layernorm_embedding", "no_token_positional_embeddings",
    "no_cross_attention", "cross_self_attention", "no_decoder_final_norm", "base_layers",
    "quant_noise_pq",
)  # fmt: skip


def read_fairseq(
    path: str | Path, source_lang: str | None = None, target_lang: str | None = None
) -> Imported:
    """Read a folder with a converted fairseq Transformer.

    Args:
        path: the folder.
        source_lang, target_lang: language codes; None takes those of config.json.

    Raises:
        InputMissingError: a file is missing.
        DataError, CheckpointError: a file is damaged, or describes another kind of model.
        UsageError: a language is missing.
    """
    folder = ForeignFolder(path)
    fields = folder.json("config.json")
    where = f"{folder.path}/config.json"
    _check_supported(fields, where)
    source = source_lang or text_of(fields.get("source_lang"))
    target = target_lang or text_of(fields.get("target_lang"))
    if not source or not target:
        side = "target" if source else "source"
        raise UsageError(f"{where} does not say the {side} language; name it by --{side}-lang")
    words = [Vocabulary.load(folder.path / f"dict.{name}.txt") for name in (source, target)]
    tensors = folder.tensors("model.safetensors")
    config = _config(fields, folder)
    specs = [TokenizerSpec("none", NoneConfig(), name) for name in (source, target)]
    record = ModelRecord("transformer", config, words[0], words[1], specs[0], specs[1])
    return Imported(record, _weights(tensors, record, fields, folder))


def _check_supported(fields: Mapping[str, Any], where: str) -> None:
    arch = text_of(fields.get("arch") or fields.get("_name"))
    if "lstm" in arch:
        raise DataError(
            f"{where}: the model is {arch}; fairseq's LSTM decoder reads its last output even "
            "without attention, which no architecture of s2st does"
        )
    if not arch.startswith("transformer") or "lm" in arch:
        raise DataError(f"{where}: the model is {arch!r}; s2st reads fairseq's transformer")
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
    for name, table, special, vocabulary in (
        ("source_embedding", source, SOURCE_ROWS, record.source_vocabulary),
        ("target_embedding", target, TARGET_ROWS, record.target_vocabulary),
        ("softmax", output, SOURCE_ROWS, record.target_vocabulary),
    ):
        if len(table) != len(vocabulary):
            raise DataError(
                f"{where}: {len(table)} rows of {name}, but {len(vocabulary)} words and special "
                "tokens; is it the dictionary of the training?"
            )
        ours[f"{name}.weight"] = torch.cat([table[list(special)], table[len(special) :]])
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


def fairseq_sinusoids(count: int, width: int) -> torch.Tensor:
    """(count, width) the sinusoids that fairseq adds to the first tokens of a sentence."""
    half = width // 2
    rates = torch.exp(torch.arange(half).double() * (-math.log(10000) / max(1, half - 1)))
    angles = torch.arange(FIRST, FIRST + count).double().unsqueeze(1) * rates
    table = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    return torch.nn.functional.pad(table, (0, width - 2 * half)).float()
