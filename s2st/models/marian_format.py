"""Models of Marian in the format of Hugging Face (OPUS-MT), as Transformers of s2st.

A folder has `config.json`, `model.safetensors`, `source.spm`, `target.spm` and `vocab.json`. The
tables below name each tensor's place. Names and meaning of the fields are those of the class
`MarianMTModel` of the package `transformers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from s2st.errors import DataError, UsageError
from s2st.models.configs import TransformerConfig
from s2st.models.foreign_folder import ForeignFolder, integer, take, text_of
from s2st.models.languages import Languages, LanguageSide
from s2st.models.model_record import ModelRecord
from s2st.options.option_fields import make_config
from s2st.text.tokenizer_files import read_model
from s2st.text.tokenizers import SPACE_SIGN, SentencePieceConfig, TokenizerSpec
from s2st.text.vocabulary import SPECIALS, Vocabulary

NEVER = -1e9  # bias of a token that the model must not write; -inf would give NaN in a gradient
ACTIVATIONS = {"swish": "silu", "silu": "silu", "relu": "relu", "gelu": "gelu"}
# a field of config.json that the architecture fixes -> its value
FIXED = {"normalize_before": False, "normalize_embedding": False, "add_final_layer_norm": False}
ATTENTIONS = {"self_attn": "self_attention", "encoder_attn": "cross_attention"}
PARTS = {
    "self_attn_layer_norm": "self_norm",
    "encoder_attn_layer_norm": "cross_norm",
    "final_layer_norm": "inner_norm",
    "fc1": "inner",
    "fc2": "outer",
}


@dataclass(frozen=True)
class Imported:
    """A model of another program, as one of s2st."""

    record: ModelRecord
    weights: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class _Words:
    """A vocabulary of Marian.

    Attributes:
        vocabulary: as s2st has it.
        rows: for each of its ids, the row of Marian's table.
    """

    vocabulary: Vocabulary
    rows: Sequence[int]


def read_marian(
    path: str | Path, source_lang: str | None = None, target_langs: Sequence[str] = ()
) -> Imported:
    """Read a folder with a Marian model.

    Args:
        path: the folder.
        source_lang: language code of the source; None takes that of tokenizer_config.json.
        target_langs: as `source_lang`; of a model with several target languages, those to keep,
            as its vocabulary spells them (`>>fra<<` is `fra`).

    Raises:
        InputMissingError: a file is missing.
        DataError, CheckpointError: a file is damaged, or describes another kind of model.
        UsageError: a language is missing, or the model does not have it.
    """
    folder = ForeignFolder(path)
    fields = folder.json("config.json")
    if fields.get("model_type") != "marian":
        raise DataError(
            f"{folder.path}/config.json: the model is of type {fields.get('model_type')!r}, "
            "not 'marian'"
        )
    _check_supported(fields, f"{folder.path}/config.json")
    source, targets = _languages(folder, source_lang, target_langs)
    tables = [folder.json("vocab.json")]
    if "target_vocab.json" in folder and not fields.get("share_encoder_decoder_embeddings", True):
        tables.append(folder.json("target_vocab.json"))
    start = integer(fields, "decoder_start_token_id", folder)
    codes = [] if f">>{targets[0]}<<" not in tables[0] else targets
    if not codes and _codes(tables[0]):
        raise UsageError(
            f"{folder.path}: the model has several target languages; name one or more by "
            f"--target-lang: {', '.join(_codes(tables[0])[:20])}"
        )
    if not codes and len(targets) > 1:
        raise UsageError(f"{folder.path}: the model has one target language; name it once")
    words = [_words(table, start, codes, folder) for table in tables]
    config = _config(fields, folder, shared=len(words) == 1)
    sides = {
        name: LanguageSide(_tokenizer(folder, file, name), words[at].vocabulary)
        for names, file, at in (([source], "source.spm", 0), (targets, "target.spm", -1))
        for name in names
    }
    if codes and source in codes:
        raise UsageError(f"--source-lang {source} is also a target language of the model")
    record = ModelRecord(
        "transformer",
        config,
        words[0].vocabulary,
        words[-1].vocabulary,
        sides[source].tokenizer,
        sides[targets[0]].tokenizer,
        languages=Languages(sides, [(source, name) for name in targets], "shared")
        if codes
        else None,
    )
    return Imported(record, _weights(folder.tensors("model.safetensors"), words, config, folder))


def _check_supported(fields: Mapping[str, Any], where: str) -> None:
    for name, value in FIXED.items():
        if fields.get(name, value) != value:
            raise DataError(f"{where}: {name} is {fields[name]!r}; s2st reads models with {value}")
    for name in ("attention_heads", "ffn_dim"):
        pair = fields.get(f"encoder_{name}"), fields.get(f"decoder_{name}")
        if pair[0] != pair[1]:
            raise DataError(f"{where}: encoder_{name} and decoder_{name} differ: {pair}")
    if fields.get("activation_function") not in ACTIVATIONS:
        raise DataError(
            f"{where}: activation_function is {fields.get('activation_function')!r}; s2st has "
            f"{', '.join(ACTIVATIONS)}"
        )


def _config(fields: Mapping[str, Any], folder: "ForeignFolder", shared: bool) -> TransformerConfig:
    tied = bool(fields.get("tie_word_embeddings", True))
    values = {
        "tie_embeddings": "all" if tied and shared else "output" if tied else "none",
        "layers": integer(fields, "encoder_layers", folder),
        "decoder_layers": integer(fields, "decoder_layers", folder),
        "hidden_size": integer(fields, "d_model", folder),
        "heads": integer(fields, "encoder_attention_heads", folder),
        "feedforward_size": integer(fields, "encoder_ffn_dim", folder),
        "dropout": float(fields.get("dropout", 0.1)),
        "attention_dropout": float(fields.get("attention_dropout", 0.0)),
        "norm": "post",
        "activation": ACTIVATIONS[fields["activation_function"]],
        "positions": "half-sinusoids",
        "scale_embeddings": bool(fields.get("scale_embedding", False)),
        "output_bias": True,
    }
    return make_config(TransformerConfig, values, f"{folder.path}/config.json")


def _languages(
    folder: "ForeignFolder", source: str | None, targets: Sequence[str]
) -> tuple[str, list[str]]:
    said = folder.json("tokenizer_config.json") if "tokenizer_config.json" in folder else {}
    source = source or text_of(said.get("source_lang"))
    found = [name for name in targets or [text_of(said.get("target_lang"))] if name]
    if not source or not found:
        side = "target" if source else "source"
        raise UsageError(
            f"{folder.path}: tokenizer_config.json does not say the {side} language; name it by "
            f"--{side}-lang"
        )
    return source, found


def _codes(table: Mapping[str, Any]) -> list[str]:
    """The target languages of a model that has several."""
    return [word[2:-2] for word in table if word.startswith(">>") and word.endswith("<<")]


def _words(
    table: Mapping[str, Any], start: int, codes: Sequence[str], folder: "ForeignFolder"
) -> _Words:
    """The vocabulary of a `vocab.json`; `codes` become tags, all other words stay."""
    where = f"{folder.path}/vocab.json"
    if not all(isinstance(row, int) and row >= 0 for row in table.values()):
        raise DataError(f"{where}: not a table of words and their numbers")
    missing = [word for word in ("<pad>", "</s>", "<unk>") if word not in table]
    missing += [f">>{code}<<" for code in codes if f">>{code}<<" not in table]
    if missing:
        raise DataError(f"{where}: there is no {missing[0]}")
    tags = [f">>{code}<<" for code in codes]
    special = {*SPECIALS, *tags}
    words = [w for w in sorted(table, key=table.__getitem__) if w not in special and w.strip()]
    rows = [table["<pad>"], start, table["</s>"], table["<unk>"]]
    rows += [table[word] for word in (*tags, *words)]
    spaced = ["".join(SPACE_SIGN if c.isspace() else c for c in word) for word in words]
    try:
        vocabulary = Vocabulary(spaced, [1] * len(spaced), codes)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    return _Words(vocabulary, rows)


def _tokenizer(folder: "ForeignFolder", file: str, language: str) -> TokenizerSpec:
    spec = TokenizerSpec(
        "sentencepiece", SentencePieceConfig(), language, read_model(str(folder.path / file))
    )
    spec.build()
    return spec


def _weights(
    theirs: Mapping[str, torch.Tensor],
    words: Sequence[_Words],
    config: TransformerConfig,
    folder: "ForeignFolder",
) -> dict[str, torch.Tensor]:
    """The tensors of s2st's Transformer."""
    where = f"{folder.path}/model.safetensors"
    shared = theirs.get("model.shared.weight")
    ours: dict[str, torch.Tensor] = {}

    def table(side: str, rows: Sequence[int]) -> torch.Tensor:
        found = theirs.get(f"model.{side}.embed_tokens.weight", shared)
        if found is None:
            found = take(theirs, "lm_head.weight", where)
        if max(rows) >= len(found):
            raise DataError(f"{where}: {len(found)} rows of embeddings are too few for the words")
        return found[list(rows)]

    ours["source_embedding.weight"] = table("encoder", words[0].rows)
    ours["target_embedding.weight"] = table("decoder", words[-1].rows)
    if config.tie_embeddings == "none":
        ours["softmax.weight"] = take(theirs, "lm_head.weight", where)[list(words[-1].rows)]
    bias = take(theirs, "final_logits_bias", where).flatten()[list(words[-1].rows)].clone()
    bias[1] = NEVER  # the first token of a target is not a word
    ours["softmax.bias"] = bias
    for side, layers in (("encoder", config.layers), ("decoder", config.decoder_layers)):
        for number in range(layers or 0):
            ours |= attention_and_parts(
                theirs, f"model.{side}.layers.{number}.", f"{side}.layers.{number}.", where
            )
    return ours


def attention_and_parts(
    theirs: Mapping[str, torch.Tensor], before: str, after: str, where: str
) -> dict[str, torch.Tensor]:
    """The tensors of one layer: ours have keys and values in one matrix."""
    found: dict[str, torch.Tensor] = {}
    for kind in ("weight", "bias"):
        for theirs_name, ours_name in ATTENTIONS.items():
            if f"{before}{theirs_name}.q_proj.{kind}" not in theirs:
                continue
            key, value, query, output = (
                take(theirs, f"{before}{theirs_name}.{part}_proj.{kind}", where)
                for part in ("k", "v", "q", "out")
            )
            found[f"{after}{ours_name}.query.{kind}"] = query
            found[f"{after}{ours_name}.memory.{kind}"] = torch.cat([key, value])
            found[f"{after}{ours_name}.output.{kind}"] = output
        for theirs_name, ours_name in PARTS.items():
            if f"{before}{theirs_name}.{kind}" in theirs:
                found[f"{after}{ours_name}.{kind}"] = theirs[f"{before}{theirs_name}.{kind}"]
    return found
