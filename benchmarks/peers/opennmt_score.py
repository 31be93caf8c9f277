"""Scores lists with OpenNMT-py's own modules and scoring code; run by its own interpreter.

    python opennmt_score.py TASK.json

TASK has: layers, width, source_words, target_words, batch, sources (lists of ids), hypotheses
(for each source, lists of ids), threads. The model has random weights and no attention. Prints
the seconds of the scoring alone. Token ids are those of s2st (0 pad, 1 BOS, 2 EOS).
"""

import json
import sys
import time
import warnings
from types import SimpleNamespace

warnings.filterwarnings("ignore")

import torch  # noqa: E402
from onmt.decoders.decoder import StdRNNDecoder  # noqa: E402
from onmt.encoders.rnn_encoder import RNNEncoder  # noqa: E402
from onmt.models import NMTModel  # noqa: E402
from onmt.modules import Embeddings  # noqa: E402
from onmt.translate.translator import Translator  # noqa: E402

PAD, BOS, EOS = 0, 1, 2


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as stream:
        task = json.load(stream)
    torch.set_num_threads(task["threads"])
    torch.manual_seed(1)
    layers, width = task["layers"], task["width"]
    source = Embeddings(width, task["source_words"], PAD)
    target = Embeddings(width, task["target_words"], PAD)
    encoder = RNNEncoder("LSTM", False, layers, width, 0.0, source)
    decoder = StdRNNDecoder("LSTM", False, layers, width, attn_type=None, embeddings=target)
    model = NMTModel(encoder, decoder).eval()
    model.generator = torch.nn.Linear(width, task["target_words"])
    translator = Translator.__new__(Translator)
    translator.model = model
    translator.copy_attn = False
    translator.global_scorer = SimpleNamespace(has_cov_pen=False)
    translator._tgt_pad_idx = PAD
    pairs = [
        (source, hypothesis)
        for source, group in zip(task["sources"], task["hypotheses"], strict=True)
        for hypothesis in group
    ]
    with torch.inference_mode():
        score(translator, pairs[: task["batch"]])  # warm
        start = time.perf_counter()
        for first in range(0, len(pairs), task["batch"]):
            score(translator, pairs[first : first + task["batch"]])
        print(time.perf_counter() - start)


def score(translator, pairs):
    """As Inference._gold_score does after the encoder."""
    sources = pad([[*source, EOS] for source, _ in pairs])
    targets = pad([[BOS, *hypothesis, EOS] for _, hypothesis in pairs])
    lengths = torch.tensor([len(source) + 1 for source, _ in pairs])
    # its encoder packs: longest source first, as its own batches are
    order = lengths.argsort(descending=True, stable=True)
    sources, targets, lengths = sources[order], targets[order], lengths[order]
    batch = {"src": sources, "srclen": lengths, "tgt": targets}
    out, final, lengths = translator.model.encoder(sources, lengths)
    translator.model.decoder.init_state(sources, out, final)
    scores, _ = translator._score_target(batch, out, lengths, None)
    return scores[order.argsort()]


def pad(rows):
    width = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows]).unsqueeze(2)


main()
