"""Language models against an nn.LSTM with the same weights, and what they refuse."""

import pytest
import torch
from builders import model, source_batch
from torch import nn

from s2st.errors import UsageError
from s2st.models.base import ModelSizes
from s2st.models.configs import RecurrentLMConfig, TransformerLMConfig
from s2st.models.model_building import build_model
from s2st.text.vocabulary import BOS_ID

LSTM = RecurrentLMConfig(layers=2, hidden_size=6, embedding_size=4, dropout=0.3)
TRANSFORMER = TransformerLMConfig(layers=1, hidden_size=8, heads=2, dropout=0.3)
SIZES = ModelSizes(4, 9)  # the source has the special tokens only
BOTH = [("lstm-lm", LSTM), ("transformer-lm", TRANSFORMER)]


@torch.no_grad()
def test_the_lstm_is_torchs_from_zeros():
    tiny = model("lstm-lm", LSTM, 1, SIZES).eval()
    theirs = nn.LSTM(4, 6, 2, batch_first=True).double()
    for number, layer in enumerate(tiny.decoder.layers):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            own = layer.get_parameter(f"{name}_l0")
            theirs.get_parameter(f"{name}_l{number}").copy_(own)
    target_in = torch.tensor([[BOS_ID, 4, 5, 6], [BOS_ID, 8, 8, 4]])
    made = tiny.decode(target_in, tiny.initial_state(tiny.encode(source_batch([[], []]))))
    expected, _ = theirs(tiny.target_embedding(target_in))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-10)
    logits = expected @ tiny.softmax.weight.T
    torch.testing.assert_close(tiny.project(made), logits, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "config"), BOTH)
def test_there_is_one_table_and_it_may_be_the_softmaxs(name, config):
    made = build_model(name, config, SIZES)
    assert made.embeddings().source is None
    assert made.embeddings().target.weight.shape[0] == 9
    for tie in ("output", "all"):
        values = {**vars(config), "tie_embeddings": tie}
        if name == "lstm-lm":
            values["embedding_size"] = 6
        tied = build_model(name, type(config)(**values), SIZES)
        shapes = [tuple(parameter.shape) for parameter in tied.parameters()]
        assert sum(shape[0] == 9 for shape in shapes) == 1


@pytest.mark.parametrize(("name", "config"), BOTH)
def test_no_sentence_vectors(name, config):
    made = build_model(name, config, SIZES)
    with pytest.raises(UsageError, match="reads no source"):
        made.sentence_vectors(made.encode(source_batch([[], []])))
