"""JoeyNMT's recurrent encoder-decoder, as near to ours as it can be built.

It has no decoder without attention, and its recurrent encoder fails unless it is bidirectional
(joeynmt 2.3, encoders.py): both directions have `width` / 2 units together here, so that the
decoder is as wide as ours. The decoder starts from the top layer's hidden state only, and feeds its
output back. The weights of s2st do not fit into it.
"""

import logging

logging.disable(logging.WARNING)

import torch  # noqa: E402
from joeynmt.batch import Batch  # noqa: E402
from joeynmt.model import build_model as build  # noqa: E402
from tasks import BOS, EOS, PAD, UNK, pad  # noqa: E402


class Words:
    """All that its model asks of a vocabulary."""

    pad_index, bos_index, eos_index, unk_index, sep_index = PAD, BOS, EOS, UNK, None
    specials, lang_tags = ("<pad>", "<s>", "</s>", "<unk>"), ()

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def lookup(self, token):
        return self.specials.index(token)


def build_model(task):
    """With random weights by its defaults."""
    width, dropout = task["width"], task.get("dropout", 0.0)
    shared = {
        "type": "recurrent",
        "rnn_type": "lstm",
        "num_layers": task["layers"],
        "embeddings": {"embedding_dim": width, "dropout": dropout},
        "dropout": dropout,
    }
    encoder = {**shared, "hidden_size": width // 2, "bidirectional": True}
    decoder = {
        **shared, "hidden_size": width, "attention": "luong", "init_hidden": "last",
        "input_feeding": True, "hidden_dropout": dropout,
    }  # fmt: skip
    config = {"encoder": encoder, "decoder": decoder}
    model = build(config, Words(task["source_words"]), Words(task["target_words"]))
    model.loss_function = ("crossentropy", 0.0)
    return model


def make_batch(sources, targets=None):
    """Its batch of ids: sources with EOS, targets with BOS and EOS."""
    return Batch(
        src=pad(sources),
        src_length=torch.tensor([len(row) for row in sources]),
        src_prompt_mask=None,
        trg=None if targets is None else pad(targets),
        trg_prompt_mask=None,
        indices=torch.arange(len(sources)),
        device=torch.device("cpu"),
        pad_index=PAD,
        eos_index=EOS,
        is_train=targets is not None,
    )
