"""OpenNMT-py's encoder-decoders from its own modules, and its translator.

The LSTM has no attention; for the Transformer see opennmt_transformer_model.py.
"""

import logging
import warnings
from types import SimpleNamespace

warnings.filterwarnings("ignore")
logging.disable(logging.INFO)

import torch  # noqa: E402
from onmt.constants import DefaultTokens  # noqa: E402
from onmt.decoders.decoder import StdRNNDecoder  # noqa: E402
from onmt.encoders.rnn_encoder import RNNEncoder  # noqa: E402
from onmt.models import NMTModel  # noqa: E402
from onmt.modules import Embeddings  # noqa: E402
from onmt.translate import GNMTGlobalScorer  # noqa: E402
from onmt.translate.translator import Translator  # noqa: E402
from tasks import BOS, EOS, PAD, UNK, lstm_weights, pad  # noqa: E402


def build_model(task, embedding=None):
    """With random weights as `param_init` 0.1 gives; the embeddings are `width` wide by default."""
    if task["architecture"] == "transformer":
        from opennmt_transformer_model import build_transformer

        return build_transformer(task)
    layers, width = task["layers"], task["width"]
    embedding = embedding or width
    dropout = task.get("dropout", 0.0)
    source = Embeddings(embedding, task["source_words"], PAD, dropout=dropout)
    target = Embeddings(embedding, task["target_words"], PAD, dropout=dropout)
    encoder = RNNEncoder("LSTM", False, layers, width, dropout, source)
    decoder = StdRNNDecoder(
        "LSTM", False, layers, width, attn_type=None, dropout=dropout, embeddings=target
    )
    model = NMTModel(encoder, decoder)
    model.generator = torch.nn.Linear(width, task["target_words"])
    for parameter in model.parameters():
        parameter.data.uniform_(-0.1, 0.1)
    return model


def load_model(task, weights):
    """With the weights of an s2st checkpoint, whose softmax has no bias."""
    if task["architecture"] == "transformer":
        from opennmt_transformer_model import load_transformer

        return load_transformer(build_model(task), weights)
    model = build_model(task, weights["source_embedding.weight"].shape[1])
    for side, part in (("source", model.encoder), ("target", model.decoder)):
        part.embeddings.word_lut.weight.data.copy_(weights[f"{side}_embedding.weight"])
    for side, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        part.rnn.load_state_dict(lstm_weights(weights, side, task["layers"]))
    model.generator.weight.data.copy_(weights["softmax.weight"])
    model.generator.bias.data.zero_()
    return model.eval()


class Words:
    """All that its translator asks of a vocabulary."""

    def __init__(self, count):
        self.count = count
        self.ids = {DefaultTokens.PAD: PAD, DefaultTokens.BOS: BOS, DefaultTokens.EOS: EOS}

    def __len__(self):
        return self.count

    def lookup_token(self, token):
        return self.ids.get(token, UNK)


def build_translator(task, model, beam=1):
    """Its own, without penalties; one hypothesis at a time by its arg max, as it advises."""
    return Translator(
        model,
        {"tgt": Words(task["target_words"]), "decoder_start_token": DefaultTokens.BOS},
        beam_size=beam,
        max_length_ratio=0,
        random_sampling_topk=1 if beam == 1 else 0,
        global_scorer=GNMTGlobalScorer.from_opt(
            SimpleNamespace(alpha=0.0, beta=0.0, length_penalty="none", coverage_penalty="none")
        ),
    )


def make_batch(sources, targets=None):
    """Its batch of ids: sources with EOS, targets with BOS and EOS."""
    lengths = torch.tensor([len(row) for row in sources])
    batch = {"src": pad(sources).unsqueeze(2), "srclen": lengths}
    if targets is not None:
        batch["tgt"] = pad(targets).unsqueeze(2)
    return batch
