"""An n-gram model in memory: one sorted array of keys an order, no object an n-gram.

An n-gram's number is its place in its order's arrays; a word's is its id. The key of w1 .. wm is
(number of w1 .. w(m-1)) x V + wm, so that the state of a text is the numbers of its last words.
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
        keys: rising; for single words their ids, 0 to V - 1.
        log_probs: log10 of p(last word | those before it).
        backoffs: log10 of the weight of shorter contexts where these words are the context; empty
            at the highest order.
    """

    keys: Keys
    log_probs: Floats
    backoffs: Floats


@dataclass(frozen=True)
class NGrams:
    """An n-gram model as its ARPA file has it, logarithms to base 10.

    Attributes:
        vocabulary: the words of the file; ids of `<s> </s> <unk>` are s2st's own.
        orders: single words first.
    """

    vocabulary: Vocabulary
    orders: tuple[Order, ...]


def find(keys: Keys, wanted: Keys) -> Keys:
    """The place of each wanted key among the rising keys, -1 where it is not there."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.searchsorted(keys, wanted)
    found = keys[np.minimum(places, len(keys) - 1)] == wanted
    return np.where(found, places, -1)
