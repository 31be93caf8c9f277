"""Stand-in for fairseq 0.12: its `lstm` without attention, its trainer and its generator."""

import argparse
import math
from types import SimpleNamespace

import torch
from standins import greedy, publish, read
from torch import nn


def get_training_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    for name in ("arch", "criterion", "optimizer"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("decoder-attention", "encoder-layers", "decoder-layers", "batch-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for side in ("encoder", "decoder"):
        parser.add_argument(f"--{side}-hidden-size", type=int, required=True)
        parser.add_argument(f"--{side}-embed-dim", type=int, required=True)
    parser.add_argument("--decoder-out-embed-dim", type=int, required=True)
    for name in ("dropout", "lr", "clip-norm"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--cpu", action="store_true")
    return parser


def parse_args_and_arch(parser, input_args):
    return parser.parse_args(input_args)


def convert_namespace_to_omegaconf(args):
    assert (args.arch, args.decoder_attention) == ("lstm", 0)
    return SimpleNamespace(task=args, model=args, criterion=args, optimization=args)


class Dictionary:
    def __init__(self, add_special_symbols=True):
        assert not add_special_symbols
        self.symbols = []

    def __len__(self):
        return len(self.symbols)

    def add_symbol(self, word):
        self.symbols.append(word)


class Encoder(nn.Module):
    def __init__(self, args, words):
        super().__init__()
        self.embed_tokens = nn.Embedding(len(words), args.encoder_embed_dim)
        self.lstm = nn.LSTM(
            args.encoder_embed_dim, args.encoder_hidden_size, args.encoder_layers, batch_first=True
        )

    def forward(self, tokens, lengths):  # padded on the left
        rows = [row[-count:] for row, count in zip(tokens, lengths.tolist(), strict=True)]
        right = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        hidden, cell = read(self.lstm, self.embed_tokens(right), lengths)
        return list(zip(hidden, cell, strict=True))


class Decoder(nn.Module):
    def __init__(self, args, words):
        super().__init__()
        embedding, width = args.decoder_embed_dim, args.decoder_hidden_size
        self.embed_tokens = nn.Embedding(len(words), embedding)
        sizes = [embedding + width] + [width] * (args.decoder_layers - 1)
        self.layers = nn.ModuleList(nn.LSTMCell(size, width) for size in sizes)
        assert args.decoder_out_embed_dim == width
        self.fc_out = nn.Linear(width, len(words))

    def step(self, words, states, feed):
        """Logits, states and what is fed back; `feed` is the last output."""
        features, made = torch.cat([self.embed_tokens(words), feed], dim=1), []
        for layer, state in zip(self.layers, states, strict=True):
            made.append(layer(features, state))
            features = made[-1][0]
        return self.fc_out(features), made, features


class Model(nn.Module):
    def __init__(self, args, source, target):
        super().__init__()
        self.encoder, self.decoder = Encoder(args, source), Decoder(args, target)

    def start(self, net_input):
        states = self.encoder(net_input["src_tokens"], net_input["src_lengths"])
        return states, torch.zeros_like(states[0][0])

    def forward(self, net_input):
        states, feed = self.start(net_input)
        logits = []
        for words in net_input["prev_output_tokens"].t():
            own, states, feed = self.decoder.step(words, states, feed)
            logits.append(own)
        return torch.stack(logits, dim=1)


class TranslationTask:
    def __init__(self, cfg, src_dict, tgt_dict):
        self.source_dictionary, self.target_dictionary = src_dict, tgt_dict

    def build_model(self, cfg):
        return Model(cfg, self.source_dictionary, self.target_dictionary)

    def build_criterion(self, cfg):
        assert cfg.criterion == "cross_entropy"
        return nn.CrossEntropyLoss(ignore_index=self.target_dictionary.pad_index, reduction="sum")


class Trainer:
    def __init__(self, cfg, task, model, criterion):
        self.model, self.criterion = model, criterion
        self.norm = cfg.optimization.clip_norm
        self.optimizer = torch.optim.Adam(model.parameters(), cfg.optimization.lr)

    def train_step(self, samples):
        (sample,) = samples
        self.optimizer.zero_grad()
        logits = self.model(sample["net_input"])
        loss = self.criterion(logits.flatten(0, 1), sample["target"].flatten())
        loss = loss / sample["ntokens"]
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.norm)
        self.optimizer.step()
        return {"loss": float(loss.detach()) / math.log(2)}


class SequenceGenerator:
    def __init__(self, models, tgt_dict, *, beam_size, max_len_a, normalize_scores):
        assert (max_len_a, normalize_scores) == (0, False)
        self.words, self.max_len_b = tgt_dict, 200

    def generate(self, models, sample, bos_token):
        (model,) = models
        states, feed = model.start(sample["net_input"])

        def step(words):
            nonlocal states, feed
            logits, states, feed = model.decoder.step(words, states, feed)
            return logits

        eos = self.words.eos_index
        found = greedy(step, sample["nsentences"], bos_token, eos, self.max_len_b + 1)
        return [[{"tokens": torch.tensor(row)}] for row in found]


class SequenceScorer:
    def __init__(self, tgt_dict):
        self.words = tgt_dict

    def generate(self, models, sample):
        (model,) = models
        log_probs = model(sample["net_input"]).log_softmax(dim=-1)
        target = sample["target"]
        found = log_probs.gather(2, target.unsqueeze(2)).squeeze(2)
        totals = found.masked_fill(target == self.words.pad_index, 0).sum(dim=1)
        return [[{"score": total}] for total in totals.tolist()]


publish(
    "fairseq.options",
    get_training_parser=get_training_parser, parse_args_and_arch=parse_args_and_arch,
)  # fmt: skip
publish("fairseq.data", Dictionary=Dictionary)
publish("fairseq.dataclass.utils", convert_namespace_to_omegaconf=convert_namespace_to_omegaconf)
publish("fairseq.tasks.translation", TranslationTask=TranslationTask)
publish("fairseq.trainer", Trainer=Trainer)
publish("fairseq.sequence_scorer", SequenceScorer=SequenceScorer)
publish("fairseq.sequence_generator", SequenceGenerator=SequenceGenerator)
