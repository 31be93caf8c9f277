"""Lookup tables of an n-gram model in memory: one sorted key array per order.

An n-gram's number is its index in the arrays of its order; a word's number is its id. The key of
w1 .. wm is (number of w1 .. w(m-1)) x V + wm. The state of a text is the numbers of its last words.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.text.vocabulary import Vocabulary

Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Order:
    """The n-grams of one length.

    Attributes:
        keys: in rising order; for single words their ids, 0 to V - 1.
        log_probs: log10 p(last word | words before it).
        backoffs: log10 of the backoff weight of these words as a context; empty at the highest
            order.
    """

    keys: Keys
    log_probs: Floats
    backoffs: Floats


@dataclass(frozen=True)
class NGrams:
    """The n-gram model of an ARPA file, with logarithms to base 10.

    Attributes:
        vocabulary: the words of the file; `<s> </s> <unk>` have s2st's fixed ids.
        orders: n-grams by length, single words first.
    """

    vocabulary: Vocabulary
    orders: tuple[Order, ...]


def find(keys: Keys, wanted: Keys) -> Keys:
    """Return the index of each wanted key among the sorted keys, -1 if it is missing."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.searchsorted(keys, wanted)
    present = keys[np.minimum(places, len(keys) - 1)] == wanted
    return np.where(present, places, -1)
