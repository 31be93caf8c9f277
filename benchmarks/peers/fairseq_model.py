"""fairseq's encoder-decoders, built by its own options, task and model code.

LSTM: `lstm` with `--decoder-attention 0`. Its decoder feeds its output back even without attention,
so that its first layer reads embedding + hidden; with our weights those columns are zero and the
function is ours.

Transformer: `transformer` with pre-norm layers. Its sinusoids are other ones than ours. With our
weights it has learned positions, which are given our sinusoids, and the function is ours.
"""

import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import torch  # noqa: E402
from fairseq import options  # noqa: E402
from fairseq.data import Dictionary  # noqa: E402
from fairseq.dataclass.utils import convert_namespace_to_omegaconf  # noqa: E402
from fairseq.tasks.translation import TranslationTask  # noqa: E402
from tasks import (  # noqa: E402
    BOS,
    EOS,
    PAD,
    UNK,
    copy,
    copy_memory,
    lstm_weights,
    pad,
    sinusoids,
)  # fmt: skip


def build(task, embedding=None):
    """Its configuration, task and model with random weights."""
    dropout = str(task.get("dropout", 0.0))
    command = ["nowhere", "--dropout", dropout, "--cpu", "--criterion", "cross_entropy"]
    if task["architecture"] == "transformer":
        command += transformer_options(task)
    else:
        command += lstm_options(task, embedding)
    command += ["--optimizer", "adam", "--lr", "0.001", "--clip-norm", "5.0", "--batch-size", "128"]
    arguments = options.parse_args_and_arch(options.get_training_parser(), command)
    config = convert_namespace_to_omegaconf(arguments)
    words = (dictionary(task["source_words"]), dictionary(task["target_words"]))
    translation = TranslationTask(config.task, *words)
    return config, translation, translation.build_model(config.model)


def lstm_options(task, embedding):
    """The embeddings are as wide as the layers by default."""
    layers, width = str(task["layers"]), str(task["width"])
    command = ["--arch", "lstm", "--decoder-attention", "0", "--decoder-out-embed-dim", width]
    for side in ("encoder", "decoder"):
        command += [f"--{side}-layers", layers, f"--{side}-hidden-size", width]
        command += [f"--{side}-embed-dim", str(embedding or width)]
    return command


def transformer_options(task):
    """Learned positions only for our weights; its sinusoids for random ones."""
    command = ["--arch", "transformer"]
    for side in ("encoder", "decoder"):
        command += [f"--{side}-layers", str(task["layers"]), f"--{side}-normalize-before"]
        command += [f"--{side}-embed-dim", str(task["width"])]
        command += [f"--{side}-ffn-embed-dim", str(task["inner"])]
        command += [f"--{side}-attention-heads", str(task["heads"])]
        command += [f"--{side}-learned-pos"] if "weights" in task else []
    return command


def dictionary(count):
    """Its dictionary with the ids of s2st."""
    words = Dictionary(add_special_symbols=False)
    for word in ("<pad>", "<s>", "</s>", "<unk>", *(f"w{n}" for n in range(4, count))):
        words.add_symbol(word)
    words.pad_index, words.bos_index, words.eos_index, words.unk_index = PAD, BOS, EOS, UNK
    words.nspecial = 4
    return words


def load_model(task, weights):
    """Its task, and its model with the weights of an s2st checkpoint."""
    if task["architecture"] == "transformer":
        _, translation, model = build(task)
        load_transformer(model, weights)
        return translation, model.eval()
    embedding = weights["source_embedding.weight"].shape[1]
    _, translation, model = build(task, embedding)
    layers, width = task["layers"], task["width"]
    model.encoder.embed_tokens.weight.data.copy_(weights["source_embedding.weight"])
    model.decoder.embed_tokens.weight.data.copy_(weights["target_embedding.weight"])
    model.encoder.lstm.load_state_dict(lstm_weights(weights, "encoder", layers))
    for n, cell in enumerate(model.decoder.layers):
        own = {
            kind: weights[f"decoder.layers.{n}.{kind}_l0"]
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        if n == 0:  # what it feeds back comes after the embedding
            own["weight_ih"] = torch.cat([own["weight_ih"], torch.zeros(4 * width, width)], dim=1)
        cell.load_state_dict(own)
    model.decoder.fc_out.weight.data.copy_(weights["softmax.weight"])
    model.decoder.fc_out.bias.data.zero_()
    return translation, model.eval()


def load_transformer(model, weights):
    """Gives the model our weights, and our positions as the learned ones."""
    for side, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        table = "source" if side == "encoder" else "target"
        part.embed_tokens.weight.data.copy_(weights[f"{table}_embedding.weight"])
        places = part.embed_positions.weight.data  # the first words are at PAD + 1
        places[PAD + 1 :] = sinusoids(*places[PAD + 1 :].shape)
        copy(part.layer_norm, weights, f"{side}.norm")
        for n, layer in enumerate(part.layers):
            own = f"{side}.layers.{n}"
            copy(layer.self_attn_layer_norm, weights, f"{own}.self_norm")
            copy_attention(layer.self_attn, weights, f"{own}.self_attention")
            if side == "decoder":
                copy(layer.encoder_attn_layer_norm, weights, f"{own}.cross_norm")
                copy_attention(layer.encoder_attn, weights, f"{own}.cross_attention")
            copy(layer.final_layer_norm, weights, f"{own}.inner_norm")
            copy(layer.fc1, weights, f"{own}.inner")
            copy(layer.fc2, weights, f"{own}.outer")
    model.decoder.output_projection.weight.data.copy_(weights["softmax.weight"])


def copy_attention(attention, weights, name):
    """Copies the four layers of an attention."""
    copy(attention.q_proj, weights, f"{name}.query")
    copy(attention.out_proj, weights, f"{name}.output")
    copy_memory(attention.k_proj, attention.v_proj, weights, f"{name}.memory")


def make_sample(sources, targets=None):
    """Its batch of ids as its collater makes it: longest source first, sources padded left.

    Sources have EOS, targets BOS and EOS. It starts its decoder with EOS; ours starts with BOS.
    """
    order = sorted(range(len(sources)), key=lambda place: -len(sources[place]))
    rows = [sources[place] for place in order]
    sample = {
        "id": torch.tensor(order),
        "nsentences": len(rows),
        "net_input": {
            "src_tokens": pad(rows, left=True),
            "src_lengths": torch.tensor([len(row) for row in rows]),
        },
    }
    if targets is not None:
        targets = [targets[place] for place in order]
        sample["net_input"]["prev_output_tokens"] = pad([row[:-1] for row in targets])
        sample["target"] = pad([row[1:] for row in targets])
        sample["ntokens"] = sum(len(row) - 1 for row in targets)
    return sample
