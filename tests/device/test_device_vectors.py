"""Sources of vectors on a device: the loss, the gradients and the translations of the CPU."""

import numpy as np
import pytest
import torch
from builders import model, variants
from fakes import text_side

from s2st.data.batch import make_batch, make_source
from s2st.models.base import ModelSizes
from s2st.scoring.base import TextSide
from s2st.scoring.model_scorer import ModelScorer
from s2st.search.registry import SEARCHES
from s2st.text.tokenizers import vectors_side
from s2st.text.vector_lines import VectorIds
from s2st.text.vocabulary import Vocabulary

SIZES = ModelSizes(4, 8, source_vectors=3)
TARGETS = [[4, 5, 6], [7], [5, 5, 4, 6, 7]]


def sources():
    rng = np.random.default_rng(1)
    return [VectorIds(rng.normal(size=(n, 3)).astype(np.float32)) for n in (3, 1, 5)]


@pytest.mark.parametrize("name", ["lstm-reversed", "gru-attention", "transformer", "rctm"])
def test_results_are_those_of_the_cpu(sim, name):
    config = variants(name)[0]
    losses, gradients, found = [], [], []
    for device in (sim, torch.device("cpu")):
        made = model(name, config, 1, SIZES).to(device).eval()
        batch = make_batch(sources(), TARGETS, range(3)).to(device)
        assert batch.source.vectors.device.type == device.type
        state = made.initial_state(made.encode(batch.source))
        words = batch.target_out.flatten()[batch.target_positions()]
        loss = made.target_loss(made.decode_targets(batch, state), words, 0.0)[0]
        loss.backward()
        losses.append(loss.item())
        gradients.append(made.source_embedding.projection.weight.grad.cpu())
        side = TextSide("image", vectors_side("image", 3).build(), Vocabulary([], []))
        scorer = ModelScorer(made, side, text_side("v w x y", "fr"))
        entry = SEARCHES.get("beam")
        found.append(
            entry.build(entry.config_type(beam=3))(scorer, make_source(sources(), [0, 1, 2]))
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-9)
    assert [h[0].tokens for h in found[0]] == [h[0].tokens for h in found[1]]
