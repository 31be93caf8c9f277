"""Numbers beyond the limit in a file: the same arrays, lists, tuning data."""

import numpy as np
import pytest

from s2st.rescoring.array_pile import ArrayPile
from s2st.rescoring.metrics import Bleu
from s2st.rescoring.tuning_data import Collector


@pytest.mark.parametrize("memory", [0, 100, 1 << 20])
def test_a_pile_returns_what_was_appended(memory):
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(n, 3)) for n in (4, 0, 1, 7)]
    pile = ArrayPile(np.float64, memory)
    for part in parts:
        pile.append(part)
    assert np.array_equal(pile.finish(), np.concatenate(parts).reshape(-1))
    assert ArrayPile(np.int32, memory).finish().tolist() == []


def collected(memory, own_features=False):
    collector = Collector([["a b c d"], ["b c d e"], ["c d e f"]], Bleu(), memory)
    for i, texts in enumerate((["a b c d", "a b"], ["x"], ["c d e", "c d e f", "f"])):
        features = [
            (("LM0", (float(len(t)), 1.0 * i)), ("Baseline", (2.0 * len(t) + 3.0 * i,)))
            + ((("late_x", (5.0,)),) if i == 2 else ())
            for t in texts
        ]
        collector.add(i, texts, features)
    return collector.finish()


def test_a_collection_in_a_file_equals_one_in_memory():
    """With a column that appears late, and a choice of the columns."""
    inside, outside = collected(1 << 30), collected(0)
    for one, other in (
        (inside, outside), (inside.chosen(True), outside.chosen(True)),
        (inside.chosen(False), outside.chosen(False)),
    ):  # fmt: skip
        assert one.columns == other.columns
        for a, b in zip(one.lists, other.lists, strict=True):
            assert np.array_equal(a.features, b.features)
            assert np.array_equal(a.statistics, b.statistics)
    assert inside.lists[0].features[0].tolist() == [7.0, 0.0, 14.0, 0.0]
    assert inside.spread() == outside.spread()


def test_baseline_weights_do_not_depend_on_how_rows_are_reduced(monkeypatch):
    rng = np.random.default_rng(2)
    collector = Collector(None, Bleu(), 0)
    for i in range(20):
        rows = rng.normal(size=(6, 3))
        features = [
            (("A", (a, b)), ("B", (c,)), ("Baseline", (0.5 * a - 2.0 * b + 3.0 * c + i,)))
            for a, b, c in rows.tolist()
        ]
        collector.add(i, ["x"] * 6, features)
    collection = collector.finish()
    for lists in (3, 256):
        monkeypatch.setattr("s2st.rescoring.tuning_data.QR_LISTS", lists)
        found = collection.baseline_weights().values
        assert found["A"] == pytest.approx((0.5, -2.0))
        assert found["B"] == pytest.approx((3.0,))
