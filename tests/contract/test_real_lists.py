"""Prefix-shared scores equal plain ones in float32, on real Moses lists where they are at hand."""

import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import describe, model, trainable, variants
from fakes import text_side

from s2st.data.batch import make_batch, make_source
from s2st.models.base import ModelSizes
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.prefix_sharing import score_lists
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import read_nbest

SHARED = Path(os.environ.get("S2ST_SHARED", Path(__file__).parents[3] / "shared")) / "data"
LISTS = SHARED / "smt-multi30k" / "val.1000best.gz"
pytestmark = pytest.mark.skipif(not LISTS.exists(), reason="the real lists are not here")
COUNT, LENGTH, WORDS = 4, 150, 700


@pytest.fixture(scope="module")
def real():
    """(sources, lists) of ids, and the sides that they are ids of."""
    lists = list(itertools.islice(read_nbest(read_lines(LISTS), str(LISTS)), COUNT))
    lines = list(itertools.islice(read_lines(SHARED / "multi30k" / "tok" / "val.en.gz"), COUNT))
    texts = [[entry.hypothesis.split() for entry in entries[:LENGTH]] for entries in lists]
    common = Counter(word for group in texts for text in group for word in text)
    source = text_side(" ".join(sorted({word for line in lines for word in line.split()})))
    target = text_side(" ".join(sorted(common)[:-5]), "fr")  # some words stay unknown
    return (
        [source.vocabulary.encode(line.split()) for line in lines],
        [[target.vocabulary.encode(text) for text in group] for group in texts],
        source,
        target,
    )


def scorers(source, target, dtype):
    """Every architecture's deepest and shallowest variant, and an ensemble of three."""
    sizes = ModelSizes(len(source.vocabulary), len(target.vocabulary))
    made = {
        describe(name, config): ModelScorer(model(name, config, 1, sizes, dtype), source, target)
        for name in trainable()
        for config in (variants(name)[0], variants(name)[-1])
    }
    return {**made, "ensemble": EnsembleScorer(list(made.values())[:3])}


def test_real_lists(real):
    sources, lists, source, target = real
    pairs = [(i, hypothesis) for i, group in enumerate(lists) for hypothesis in group]
    batch = make_batch([sources[i] for i, _ in pairs], [h for _, h in pairs], range(len(pairs)))
    mask = batch.target_mask().numpy()
    for name, scorer in scorers(source, target, torch.float32).items():
        plain = scorer.score(batch).numpy()
        shared = score_lists(scorer, make_source(sources, range(COUNT)), lists, 300)
        flat = [values for group in shared.token_log_probs for values in group]
        np.testing.assert_allclose(
            np.concatenate(flat), plain[mask], rtol=0, atol=1e-4, err_msg=name
        )
        sums = [values.sum(dtype=np.float64) for values in flat]
        expected = plain.sum(axis=1, dtype=np.float64)
        np.testing.assert_allclose(sums, expected, rtol=0, atol=1e-4, err_msg=name)
