"""Converted fairseq Transformers as checkpoints.

The state dict has fairseq's names and its order of special tokens. The reference is fairseq's
formula of a decoder's input and of its positions, applied by torch's own layers. By hand, four
models were compared with fairseq 0.12: log-probabilities of sentences differ by less than 6e-6.
"""

import json
import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import s2st
from s2st.errors import S2STError
from s2st.jobs.import_model import import_fairseq, import_onmt

WORDS = {"en": ["a", "b", "c", "d", "e"], "fr": ["v", "w", "x", "y"]}
WIDTH, HEADS, INNER = 8, 2, 12
CONFIG = {
    "arch": "transformer", "source_lang": "en", "target_lang": "fr", "encoder_layers": 1,
    "decoder_layers": 1, "max_source_positions": 30, "max_target_positions": 40,
    **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in (
        ("embed_dim", WIDTH), ("ffn_embed_dim", INNER), ("attention_heads", HEADS),
        ("normalize_before", True), ("learned_pos", False))},
}  # fmt: skip


def torch_layers():
    """One pre-norm encoder layer and one decoder layer of torch, with random weights."""
    torch.manual_seed(1)
    options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    layers = (
        nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, **options).eval(),
        nn.TransformerDecoderLayer(WIDTH, HEADS, INNER, **options).eval(),
    )
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return layers


def fairseq_names(side, layer):
    """The weights of a layer by fairseq's names."""
    found = {}
    attentions = {"self_attn": layer.self_attn}
    norms = {"self_attn_layer_norm": layer.norm1, "final_layer_norm": layer.norm2}
    if side == "decoder":
        attentions["encoder_attn"] = layer.multihead_attn
        norms = {**norms, "encoder_attn_layer_norm": layer.norm2, "final_layer_norm": layer.norm3}
    for name, attention in attentions.items():
        for kind in ("weight", "bias"):
            parts = getattr(attention, f"in_proj_{kind}").chunk(3)
            for part, value in zip("qkv", parts, strict=True):
                found[f"{name}.{part}_proj.{kind}"] = value
            found[f"{name}.out_proj.{kind}"] = getattr(attention.out_proj, kind)
    for name, module in {**norms, "fc1": layer.linear1, "fc2": layer.linear2}.items():
        found |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
    return {f"{side}.layers.0.{name}": value for name, value in found.items()}


@pytest.fixture
def model(tmp_path):
    """A folder as the script of the docs makes it, and its tensors and layers."""
    layers = torch_layers()
    tensors = {}
    for side, layer, words in zip(("encoder", "decoder"), layers, WORDS.values(), strict=True):
        tensors |= fairseq_names(side, layer)
        tensors[f"{side}.embed_tokens.weight"] = torch.randn(4 + len(words), WIDTH)
        tensors[f"{side}.layer_norm.weight"] = torch.rand(WIDTH) + 0.5
        tensors[f"{side}.layer_norm.bias"] = torch.randn(WIDTH)
    tensors["decoder.output_projection.weight"] = torch.randn(8, WIDTH)
    folder = tmp_path / "converted"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file(
        {k: v.detach().clone().contiguous() for k, v in tensors.items()},
        folder / "model.safetensors",
    )
    for language, words in WORDS.items():
        (folder / f"dict.{language}.txt").write_text("".join(f"{w} 5\n" for w in words))
    return folder, tensors, layers


def embedded(table, ids):
    """fairseq: scaled embeddings plus sines, then cosines, of positions that start at 2."""
    half = WIDTH // 2
    rows = []
    for position, vector in enumerate(table[ids], start=2):
        angles = [position * 10000 ** (-i / (half - 1)) for i in range(half)]
        wave = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        rows.append(vector * math.sqrt(WIDTH) + torch.tensor(wave))
    return torch.stack(rows).unsqueeze(0)


@torch.no_grad()
def log_prob(tensors, layers, source, target):
    """The log-probability of a pair: fairseq's ids are <s> 0, <pad> 1, </s> 2, <unk> 3."""

    def normed(side, values):
        weight, bias = (tensors[f"{side}.layer_norm.{kind}"] for kind in ("weight", "bias"))
        return nn.functional.layer_norm(values, (WIDTH,), weight, bias)

    ids = [
        [4 + WORDS[language].index(word) for word in text.split()] + [2]
        for language, text in (("en", source), ("fr", target))
    ]
    memory = layers[0](embedded(tensors["encoder.embed_tokens.weight"], ids[0]))
    read = embedded(tensors["decoder.embed_tokens.weight"], [2, *ids[1][:-1]])
    mask = nn.Transformer.generate_square_subsequent_mask(len(ids[1]))
    top = layers[1](read, normed("encoder", memory), tgt_mask=mask)
    logits = normed("decoder", top)[0] @ tensors["decoder.output_projection.weight"].T
    return logits.log_softmax(-1).gather(1, torch.tensor(ids[1]).unsqueeze(1)).sum().item()


def test_log_probabilities_are_those_of_fairseqs_formulas(model, tmp_path):
    folder, tensors, layers = model
    import_fairseq(str(folder), str(tmp_path / "out"))
    sources, targets = ["a b c", "d", "e e a b d"], ["v w", "y x v y", ""]
    found = s2st.load(str(tmp_path / "out")).score(sources, targets)
    for row, source, target in zip(found, sources, targets, strict=True):
        assert row.log_prob == pytest.approx(log_prob(tensors, layers, source, target), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "lstm_lm"}, "the model is 'lstm_lm'; s2st reads fairseq's transformer and lstm"),
        ({"arch": "fconv"}, "the model is 'fconv'"),
        ({"layernorm_embedding": True}, "layernorm_embedding is True"),
        ({"decoder_attention_heads": 1}, "encoder_attention_heads and decoder_attention_heads"),
        ({"activation_fn": "tanh"}, "activation_fn is 'tanh'; s2st has relu"),
        ({"target_lang": None}, "does not say the target language; name it by --target-lang"),
        ({"encoder_layers": 2}, r"there is no tensor|is missing"),
    ],
)
def test_what_cannot_be_imported_is_named(model, tmp_path, changes, message):
    folder, _, _ = model
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    with pytest.raises(S2STError, match=message):
        import_fairseq(str(folder), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_another_dictionary_is_refused(model, tmp_path):
    folder, _, _ = model
    (folder / "dict.fr.txt").write_text("v 1\n")
    with pytest.raises(S2STError, match="is it the dictionary of the training"):
        import_fairseq(str(folder), str(tmp_path / "out"))


@pytest.mark.parametrize("run", [import_fairseq, import_onmt])
def test_a_checkpoint_that_is_not_converted_gets_the_remedy(run, tmp_path):
    pickled = tmp_path / "checkpoint_best.pt"
    pickled.write_bytes(b"x")
    for given, what in ((pickled, "a file, not a folder"), (tmp_path, "config.json: no such file")):
        with pytest.raises(S2STError, match=what) as caught:
            run(str(given), str(tmp_path / "out"), "en", "fr")
        assert str(caught.value).endswith("the script in docs/other-toolkits.md")
