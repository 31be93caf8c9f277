"""Models of GPT-2 in the format of Hugging Face, as language models of s2st (`transformer-lm`).

A folder has `config.json`, `model.safetensors`, and `tokenizer.json` or `vocab.json` with
`merges.txt`. Names and meaning of the fields are those of the class `GPT2LMHeadModel` of the
package `transformers`. Its token `<|endoftext|>` is both <s> and </s>.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from s2st.errors import DataError
from s2st.models.configs import TransformerLMConfig
from s2st.models.foreign_folder import ForeignFolder, integer, take
from s2st.models.marian_format import NEVER, Imported
from s2st.models.model_record import ModelRecord
from s2st.options.option_fields import make_config
from s2st.text.huggingface_tokenizer import byte_bpe_of_files
from s2st.text.tokenizer_files import read_model
from s2st.text.tokenizers import HuggingFaceConfig, TokenizerSpec, absent_side
from s2st.text.vocabulary import Vocabulary

ACTIVATIONS = {"gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "gelu": "gelu",
               "relu": "relu", "silu": "silu", "swish": "silu"}  # fmt: skip
FIXED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "layer_norm_epsilon": 1e-5,
}
# a tensor of a layer -> ours; `attn.c_attn` is divided into query and memory
PARTS = {
    "ln_1": "self_norm",
    "attn.c_proj": "self_attention.output",
    "ln_2": "inner_norm",
    "mlp.c_fc": "inner",
    "mlp.c_proj": "outer",
}


def read_gpt2(path: str | Path, language: str) -> Imported:
    """Read a folder with a GPT-2 model.

    Args:
        path: the folder.
        language: language code of the text.

    Raises:
        InputMissingError: a file is missing.
        DataError, CheckpointError: a file is damaged, or describes another kind of model.
        UsageError: the package `tokenizers` is missing.
    """
    folder = ForeignFolder(path)
    fields = folder.json("config.json")
    where = f"{folder.path}/config.json"
    if fields.get("model_type") != "gpt2":
        raise DataError(f"{where}: the model is of type {fields.get('model_type')!r}, not 'gpt2'")
    for name, value in FIXED.items():
        if fields.get(name, value) != value:
            raise DataError(f"{where}: {name} is {fields[name]!r}; s2st reads models with {value}")
    activation = fields.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        raise DataError(
            f"{where}: activation_function is {activation!r}; s2st has {', '.join(ACTIVATIONS)}"
        )
    end = integer(fields, "eos_token_id", folder)
    tied = bool(fields.get("tie_word_embeddings", True))
    values = {
        "tie_embeddings": "output" if tied else "none",
        "layers": integer(fields, "n_layer", folder),
        "hidden_size": integer(fields, "n_embd", folder),
        "heads": integer(fields, "n_head", folder),
        "feedforward_size": None
        if fields.get("n_inner") is None
        else integer(fields, "n_inner", folder),
        "dropout": float(fields.get("resid_pdrop", 0.1)),
        "attention_dropout": float(fields.get("attn_pdrop", 0.1)),
        "norm": "pre",
        "activation": ACTIVATIONS[activation],
        "positions": "learned",
        "max_positions": integer(fields, "n_positions", folder),
        "scale_embeddings": False,
        "output_bias": True,
    }
    config = make_config(TransformerLMConfig, values, where)
    tokenizer, table = _tokenizer(folder, language)
    vocabulary, rows = _words(tokenizer, table, end, where)
    record = ModelRecord(
        "transformer-lm", config, Vocabulary([], []), vocabulary, absent_side(), tokenizer
    )
    weights = _weights(folder.tensors("model.safetensors"), config, rows, end, folder)
    return Imported(record, weights)


def _tokenizer(folder: ForeignFolder, language: str) -> tuple[TokenizerSpec, Mapping[str, int]]:
    """The tokenizer, and the number of each of its tokens."""
    import tokenizers

    if "tokenizer.json" in folder:
        model = read_model(str(folder.path / "tokenizer.json"), "huggingface")
    else:
        model = byte_bpe_of_files(folder.path / "vocab.json", folder.path / "merges.txt")
    spec = TokenizerSpec("huggingface", HuggingFaceConfig(), language, model)
    spec.build()
    return spec, tokenizers.Tokenizer.from_str(model.decode("utf-8-sig")).get_vocab()


def _words(
    tokenizer: TokenizerSpec, table: Mapping[str, int], end: int, where: str
) -> tuple[Vocabulary, list[int]]:
    """The vocabulary, and the row of each of its words in GPT-2's table."""
    pieces = tokenizer.build().pieces() or []
    ordered = [word for word in sorted(table, key=table.__getitem__) if table[word] != end]
    known = [word for word in ordered if word in set(pieces)]
    if len(known) != len(pieces):
        raise DataError(f"{where}: the tokenizer has pieces with white space, which GPT-2 has not")
    return Vocabulary(known, [1] * len(known)), [table[word] for word in known]


def _weights(
    theirs: Mapping[str, torch.Tensor],
    config: TransformerLMConfig,
    rows: list[int],
    end: int,
    folder: ForeignFolder,
) -> dict[str, torch.Tensor]:
    """The tensors of s2st's model. GPT-2 has its matrices transposed."""
    where = f"{folder.path}/model.safetensors"
    before = "transformer." if "transformer.wte.weight" in theirs else ""

    def get(name: str) -> torch.Tensor:
        return take(theirs, before + name, where)

    words = get("wte.weight")
    if max((*rows, end)) >= len(words):
        raise DataError(f"{where}: the embeddings have {len(words)} rows, too few for the words")
    special = torch.stack([torch.zeros_like(words[0]), words[end], words[end], words[end]])
    bias = torch.zeros(len(rows) + 4)
    bias[[0, 1, 3]] = NEVER  # <pad>, <s>, <unk>: the model writes </s> and words only
    ours = {
        "target_embedding.weight": torch.cat([special, words[rows]]),
        "softmax.bias": bias,
        "decoder.positions": get("wpe.weight"),
        "decoder.norm.weight": get("ln_f.weight"),
        "decoder.norm.bias": get("ln_f.bias"),
    }
    if config.tie_embeddings == "none":
        head = take(theirs, "lm_head.weight", where)
        ours["softmax.weight"] = head[[end, end, end, end, *rows]]
    for number in range(config.layers or 0):
        for kind in ("weight", "bias"):
            layer, mine = f"h.{number}.", f"decoder.layers.{number}."
            both = get(f"{layer}attn.c_attn.{kind}").t()
            width = len(both) // 3
            ours[f"{mine}self_attention.query.{kind}"] = both[:width].contiguous()
            ours[f"{mine}self_attention.memory.{kind}"] = both[width:].contiguous()
            for part, name in PARTS.items():
                found = get(f"{layer}{part}.{kind}")
                ours[f"{mine}{name}.{kind}"] = found.t().contiguous()
    return ours
