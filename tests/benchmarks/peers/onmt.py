"""Stand-in for OpenNMT-py 3.5: an LSTM encoder-decoder, its trainer and its translator."""

import math
from types import SimpleNamespace

import torch
from standins import greedy, publish, read
from torch import nn

PAD, BOS, EOS = 0, 1, 2


class DefaultTokens:
    PAD, BOS, EOS = "<blank>", "<s>", "</s>"


class Embeddings(nn.Module):
    def __init__(self, word_vec_size, word_vocab_size, word_padding_idx, dropout=0.0):
        super().__init__()
        self.word_lut = nn.Embedding(word_vocab_size, word_vec_size, word_padding_idx)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids):  # (B, T, 1)
        return self.dropout(self.word_lut(ids.squeeze(2)))


class RNN(nn.Module):
    def __init__(self, embeddings, layers, width, dropout=0.0):
        super().__init__()
        self.embeddings = embeddings
        size = embeddings.word_lut.embedding_dim
        self.rnn = nn.LSTM(size, width, layers, batch_first=True, dropout=dropout)


class RNNEncoder(RNN):
    def __init__(self, rnn_type, bidirectional, num_layers, hidden_size, dropout, embeddings):
        assert (rnn_type, bidirectional) == ("LSTM", False)
        super().__init__(embeddings, num_layers, hidden_size, dropout)

    def forward(self, src, src_len):
        return None, read(self.rnn, self.embeddings(src), src_len), src_len


class StdRNNDecoder(RNN):
    def __init__(
        self,
        rnn_type,
        bidirectional_encoder,
        num_layers,
        hidden_size,
        attn_type,
        dropout,
        embeddings,
    ):
        assert (rnn_type, bidirectional_encoder, attn_type) == ("LSTM", False, None)
        super().__init__(embeddings, num_layers, hidden_size, dropout)

    def init_state(self, src, enc_out, enc_final_hs):
        self.state = enc_final_hs

    def forward(self, tgt):
        out, self.state = self.rnn(self.embeddings(tgt), self.state)
        return out


class NMTModel(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def features(self, batch):
        """Of every target word but the last, teacher forced."""
        out, final, _ = self.encoder(batch["src"], batch["srclen"])
        self.decoder.init_state(batch["src"], out, final)
        return self.decoder(batch["tgt"][:, :-1])


class GNMTGlobalScorer:
    @classmethod
    def from_opt(cls, opt):
        assert (opt.alpha, opt.length_penalty) == (0.0, "none")
        return cls()


class Translator:
    def __init__(
        self, model, vocabs, *, beam_size, max_length_ratio, random_sampling_topk, global_scorer
    ):
        assert isinstance(global_scorer, GNMTGlobalScorer)
        assert random_sampling_topk == (1 if beam_size == 1 else 0)
        self.model, self.max_length = model, 0
        words = vocabs["tgt"]
        start = vocabs["decoder_start_token"]
        self.ids = words.lookup_token(start), words.lookup_token(DefaultTokens.EOS)
        assert len(words) == model.generator.out_features

    def translate_batch(self, batch, attn_debug):
        model = self.model
        out, final, _ = model.encoder(batch["src"], batch["srclen"])
        model.decoder.init_state(batch["src"], out, final)

        def step(words):
            return model.generator(model.decoder(words[:, None, None])[:, 0])

        found = greedy(step, len(batch["src"]), *self.ids, self.max_length)
        return {"predictions": [[torch.tensor(row)] for row in found]}

    def _score_target(self, batch, enc_out, src_len, src_map):
        words = batch["tgt"][:, 1:, 0]
        logs = self.model.generator(self.model.decoder(batch["tgt"][:, :-1])).log_softmax(2)
        picked = logs.gather(2, words.unsqueeze(2)).squeeze(2)
        return picked.masked_fill(words == PAD, 0.0).sum(1), None


class LossCompute(nn.Module):
    def __init__(self, criterion, generator):
        super().__init__()
        self.criterion, self.generator = criterion, generator


class Statistics:
    def __init__(self):
        self.loss, self.words = 0.0, 0

    def xent(self):
        return self.loss / self.words


class Trainer:
    def __init__(
        self, model, train_loss, valid_loss, scoring_preparator, valid_scorers, optim, *,
        report_manager, dropout,
    ):  # fmt: skip
        assert isinstance(report_manager, ReportMgr)
        assert len(dropout) == 1
        self.model, self.loss, self.optim = model, train_loss, optim

    def train(self, train_iter, train_steps):
        statistics, updates = Statistics(), 0
        for batch, _ in train_iter:
            words = batch["tgt"][:, 1:, 0]
            logits = self.loss.generator(self.model.features(batch))
            loss = self.loss.criterion(logits.flatten(0, 1), words.flatten())
            count = int((words != PAD).sum())
            (loss / count).backward()
            self.optim.step()
            statistics.loss += float(loss.detach())
            statistics.words += count
            updates += 1
        assert updates == train_steps
        assert math.isfinite(statistics.loss)
        return statistics


class Optimizer:
    def __init__(self, optimizer, learning_rate, max_grad_norm):
        self.optimizer, self.norm = optimizer, max_grad_norm

    def step(self):
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], self.norm)
        self.optimizer.step()
        self.optimizer.zero_grad()


def build_torch_optimizer(model, opt):
    assert opt.optim == "adam"
    return torch.optim.Adam(model.parameters(), opt.learning_rate, (opt.adam_beta1, opt.adam_beta2))


class ReportMgr(SimpleNamespace):
    pass


publish("onmt.constants", DefaultTokens=DefaultTokens)
publish("onmt.decoders.decoder", StdRNNDecoder=StdRNNDecoder)
publish("onmt.encoders.rnn_encoder", RNNEncoder=RNNEncoder)
publish("onmt.models", NMTModel=NMTModel)
publish("onmt.modules", Embeddings=Embeddings)
publish("onmt.translate", GNMTGlobalScorer=GNMTGlobalScorer)
publish("onmt.translate.translator", Translator=Translator)
publish("onmt.trainer", Trainer=Trainer)
publish("onmt.utils", ReportMgr=ReportMgr)
publish("onmt.utils.loss", LossCompute=LossCompute)
publish("onmt.utils.optimizers", Optimizer=Optimizer, build_torch_optimizer=build_torch_optimizer)
