"""OpenNMT-py's Transformer. In every detail that matters for the result it is ours with pre-norm.

That is: biases in the attention (`add_qkvbias`), the same interleaved sinusoids, and our epsilon
of layer normalization.
"""

import torch
from onmt.decoders.transformer import TransformerDecoder
from onmt.encoders.transformer import TransformerEncoder
from onmt.models import NMTModel
from onmt.modules import Embeddings
from tasks import PAD, copy, copy_memory


def build_transformer(task):
    """Glorot-uniform matrices, as its option `param_init_glorot` gives."""
    width = task["width"]
    sizes = (task["layers"], width, task["heads"], task["inner"])
    dropout = task.get("dropout", 0.0)
    source, target = (
        Embeddings(width, task[f"{side}_words"], PAD, position_encoding=True, dropout=dropout)
        for side in ("source", "target")
    )
    same = {"add_qkvbias": True, "norm_eps": 1e-5}
    encoder = TransformerEncoder(*sizes, dropout, 0.0, source, 0, 0, **same)
    decoder = TransformerDecoder(
        *sizes, False, "scaled-dot-flash", dropout, 0.0, target, 0, 0, False, False, 0, 0, **same
    )
    model = NMTModel(encoder, decoder)
    model.generator = torch.nn.Linear(width, task["target_words"])
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):  # its layers leave them unset
            torch.nn.init.zeros_(parameter)
    return model


def load_transformer(model, weights):
    """Gives the model the weights of an s2st checkpoint, whose softmax has no bias."""
    for side, part, layers, norms in (
        ("encoder", model.encoder, model.encoder.transformer, ("layer_norm",)),
        (
            "decoder",
            model.decoder,
            model.decoder.transformer_layers,
            ("layer_norm_1", "layer_norm_2"),
        ),
    ):
        table = "source" if side == "encoder" else "target"
        part.embeddings.word_lut.weight.data.copy_(weights[f"{table}_embedding.weight"])
        copy(part.layer_norm, weights, f"{side}.norm")
        for n, layer in enumerate(layers):
            own = f"{side}.layers.{n}"
            copy(getattr(layer, norms[0]), weights, f"{own}.self_norm")
            copy_attention(layer.self_attn, weights, f"{own}.self_attention")
            if len(norms) > 1:
                copy(getattr(layer, norms[1]), weights, f"{own}.cross_norm")
                copy_attention(layer.context_attn, weights, f"{own}.cross_attention")
            copy(layer.feed_forward.layer_norm, weights, f"{own}.inner_norm")
            copy(layer.feed_forward.w_1, weights, f"{own}.inner")
            copy(layer.feed_forward.w_2, weights, f"{own}.outer")
    model.generator.weight.data.copy_(weights["softmax.weight"])
    model.generator.bias.data.zero_()
    return model.eval()


def copy_attention(attention, weights, name):
    """Copies the four layers of an attention."""
    copy(attention.linear_query, weights, f"{name}.query")
    copy(attention.final_linear, weights, f"{name}.output")
    copy_memory(attention.linear_keys, attention.linear_values, weights, f"{name}.memory")
