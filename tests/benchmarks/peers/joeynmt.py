"""Stand-in for JoeyNMT 2.3: its recurrent model's interface over a plain LSTM, step and search."""

import numpy as np
import torch
from standins import greedy, publish, read
from torch import nn


class Batch:
    def __init__(
        self, src, src_length, src_prompt_mask, trg, trg_prompt_mask, indices, device, pad_index,
        eos_index, is_train,
    ):  # fmt: skip
        assert is_train == (trg is not None)
        self.src, self.src_length, self.eos_index = src, src_length, eos_index
        self.nseqs = len(indices)
        if trg is not None:
            self.trg_input, self.trg = trg[:, :-1], trg[:, 1:]
            self.ntokens = int((self.trg != pad_index).sum())


class Model(nn.Module):
    def __init__(self, config, src_vocab, trg_vocab):
        super().__init__()
        encoder, decoder = config["encoder"], config["decoder"]
        assert encoder["type"] == decoder["type"] == "recurrent"
        assert encoder["bidirectional"]
        assert encoder["hidden_size"] == decoder["hidden_size"] // 2
        size, width = encoder["embeddings"]["embedding_dim"], decoder["hidden_size"]
        self.source = nn.Embedding(len(src_vocab), size)
        self.target = nn.Embedding(len(trg_vocab), size)
        self.encoder = nn.LSTM(size, width, encoder["num_layers"], batch_first=True)
        self.decoder = nn.LSTM(size, width, decoder["num_layers"], batch_first=True)
        self.output = nn.Linear(width, len(trg_vocab))
        self.words = trg_vocab
        assert trg_vocab.lookup("<unk>") == trg_vocab.unk_index

    def start(self, batch):
        return read(self.encoder, self.source(batch.src), batch.src_length)

    def forward(self, batch):
        out, _ = self.decoder(self.target(batch.trg_input), self.start(batch))
        logits = self.output(out).flatten(0, 1)
        return nn.functional.cross_entropy(
            logits, batch.trg.flatten(), ignore_index=self.words.pad_index, reduction="sum"
        )


def build_model(cfg, src_vocab, trg_vocab):
    return Model(cfg, src_vocab, trg_vocab)


def build_gradient_clipper(cfg):
    norm = cfg["clip_grad_norm"]
    return lambda parameters: nn.utils.clip_grad_norm_(parameters, norm)


def build_optimizer(cfg, parameters):
    assert cfg["optimizer"] == "adam"
    return torch.optim.Adam(parameters, cfg["learning_rate"])


class TrainManager:
    """Its constructor is never called: it wants data and folders."""

    def _train_step(self, batch):
        assert self.args.normalization == "batch"
        assert self.model.loss_function == ("crossentropy", 0.0)
        assert not self.autocast["enabled"]
        loss = self.model(batch) / batch.nseqs
        loss.backward()
        return float(loss.detach()), None


def search(model, batch, max_output_length, beam_size, beam_alpha, *, n_best, min_output_length):
    assert n_best == 1
    assert min_output_length == max_output_length
    state = model.start(batch)

    def step(words):
        nonlocal state
        out, state = model.decoder(model.target(words[:, None]), state)
        logits = model.output(out[:, 0])
        logits[:, batch.eos_index] = -float("inf")  # the least length is the greatest
        return logits

    ids = model.words.bos_index, batch.eos_index
    found = greedy(step, batch.nseqs, *ids, max_output_length)
    return np.array(found), None, None


publish("joeynmt.batch", Batch=Batch)
publish("joeynmt.model", build_model=build_model)
publish(
    "joeynmt.builders",
    build_gradient_clipper=build_gradient_clipper, build_optimizer=build_optimizer,
)  # fmt: skip
publish("joeynmt.training", TrainManager=TrainManager)
publish("joeynmt.search", search=search)
