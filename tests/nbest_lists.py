"""Made-up n-best lists with BLEU statistics, for the tests of tuning."""

import numpy as np

from s2st.rescoring.tuning_lists import TuningList


def random_lists(seed: int, features: int, lists: int = 8, size: int = 12) -> list[TuningList]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(lists):
        length = rng.integers(5, 15, size=size)
        counts = np.stack([length - order for order in range(4)], axis=1)
        quality = np.sort(rng.uniform(0.3, 1.0, size=(size, 4)), axis=1)[:, ::-1]
        matches = (counts * quality).astype(np.int64)
        reference = np.full((size, 1), int(rng.integers(6, 13)))
        statistics = np.hstack([matches, counts, reference])
        values = rng.normal(size=(size, features))
        values[:, 0] += 4 * quality[:, 0]
        made.append(TuningList(values, statistics))
    return made
