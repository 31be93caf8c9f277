"""fairseq's `lstm` with `--decoder-attention 0`, built by its own options, task and model code.

Its decoder feeds its output back even without attention, so that its first layer reads
embedding + hidden; with our weights those columns are zero and the function is ours.
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
from tasks import BOS, EOS, PAD, UNK, lstm_weights, pad  # noqa: E402


def build(task, embedding=None):
    """Its configuration, task and model with random weights and no dropout."""
    layers, width = str(task["layers"]), str(task["width"])
    embedding = str(embedding or width)
    command = ["nowhere", "--arch", "lstm", "--decoder-attention", "0", "--dropout", "0", "--cpu"]
    for side in ("encoder", "decoder"):
        command += [f"--{side}-layers", layers, f"--{side}-hidden-size", width]
        command += [f"--{side}-embed-dim", embedding]
    command += ["--decoder-out-embed-dim", width, "--criterion", "cross_entropy"]
    command += ["--optimizer", "adam", "--lr", "0.001", "--clip-norm", "5.0", "--batch-size", "128"]
    arguments = options.parse_args_and_arch(options.get_training_parser(), command)
    config = convert_namespace_to_omegaconf(arguments)
    words = (dictionary(task["source_words"]), dictionary(task["target_words"]))
    translation = TranslationTask(config.task, *words)
    return config, translation, translation.build_model(config.model)


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
