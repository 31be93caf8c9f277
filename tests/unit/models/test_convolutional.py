"""The architecture rctm against the paper's equations, one sentence and one column at a time."""

import numpy as np
import pytest
import torch
from builders import TINY, model, random_sentences, source_batch

from s2st.models.configs import ConvolutionalConfig
from s2st.models.convolutional.sentence_convolution import SentenceConvolution
from s2st.text.vocabulary import BOS_ID, EOS_ID


def kernels_of(weight, largest):
    """{columns: K} and {columns: L}, cut from the one tensor in the order K2, K3, ..., L2, ..."""
    cut, at = {"K": {}, "L": {}}, 0
    for name, end in (("K", largest + 1), ("L", largest)):
        for size in range(2, end):
            cut[name][size] = weight[:, at : at + size]
            at += size
    assert at == weight.shape[1]
    return cut["K"], cut["L"]


def fold(vectors, weight, largest, used=None):
    """The vector of one sentence (columns of numpy vectors); `used` is told of every kernel."""
    kernels, tops = kernels_of(weight, largest)
    columns, size = list(vectors), 2
    while len(columns) > 1:
        count = len(columns)
        kernel = kernels[size] if count >= size else tops[count]
        if used is not None:
            used.append(f"{'K' if count >= size else 'L'}{kernel.shape[1]}")
        wide = kernel.shape[1]
        columns = [
            np.tanh(sum(kernel[:, i] * columns[start + i] for i in range(wide)))
            for start in range(count - wide + 1)
        ]
        size = min(size + 1, largest)
    return columns[0]


@pytest.mark.parametrize(
    ("length", "largest", "expected"),
    [
        (1, 4, []),
        (2, 4, ["K2"]),
        (3, 4, ["K2", "L2"]),
        (4, 4, ["K2", "K3"]),
        (6, 4, ["K2", "K3", "L3"]),  # the paper's figure
        (7, 4, ["K2", "K3", "K4"]),
        (9, 4, ["K2", "K3", "K4", "L3"]),
        (10, 4, ["K2", "K3", "K4", "K4"]),
        (5, 2, ["K2"] * 4),
    ],
)
def test_which_kernels_a_length_needs(length, largest, expected):
    """Of the slow version above; and a weight has an effect on the fast one just if it is used."""
    torch.manual_seed(length)
    encoder = SentenceConvolution(3, largest).double()
    vectors = torch.randn(1, length, 3, dtype=torch.float64)
    used = []
    fold(vectors[0].numpy(), encoder.weight.detach().numpy(), largest, used)
    assert used == expected
    found = encoder(vectors, torch.tensor([length]))
    if not expected:
        assert torch.equal(found, vectors[:, 0])
        return
    found.sum().backward()
    kernels, tops = kernels_of(encoder.weight.grad, largest)
    names = {f"K{n}": k for n, k in kernels.items()} | {f"L{n}": k for n, k in tops.items()}
    assert {name for name, gradient in names.items() if gradient.any()} == set(expected)


@pytest.mark.parametrize("largest", [2, 3, 4, 7])
def test_many_lengths_together_are_folded_as_each_alone(largest):
    torch.manual_seed(largest)
    encoder = SentenceConvolution(5, largest).double()
    lengths = torch.randperm(40) + 1
    vectors = torch.randn(len(lengths), 41, 5, dtype=torch.float64)
    weight = encoder.weight.detach().numpy()
    found = encoder(vectors, lengths).detach().numpy()
    for row, length in enumerate(lengths.tolist()):
        expected = fold(vectors[row, :length].numpy(), weight, largest)
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-12)


def test_a_fresh_cascade_neither_fades_nor_overflows():
    """Of 50 words, nine layers: without the bound of `_kernel` numbers would shrink 3-fold each."""
    torch.manual_seed(0)
    vectors = torch.randn(20, 50, 200)
    made = SentenceConvolution(200, 10)(vectors, torch.full((20,), 50))
    assert 0.1 < made.std() < 1


def test_the_decoder_by_the_papers_equation():
    """h_t = tanh(I v(word) + S e + R h_{t-1}) from h_0 = 0; o_t = O h_t."""
    tiny = model("rctm", ConvolutionalConfig(**TINY, largest_kernel=3)).eval()
    rows, words = random_sentences(5, 10, 3), [BOS_ID, 5, 7, 4]
    with torch.no_grad():
        state = tiny.initial_state(tiny.encode(source_batch(rows)))
        features = tiny.decode(torch.tensor([words] * 5), state)
        found = tiny.project(features).numpy()
    layer = tiny.decoder.layers[0]
    both = layer.weight_ih_l0.detach().numpy()
    of_word, of_source = both[:, :4], both[:, 4:]  # embeddings are 4 wide
    recurrent = layer.weight_hh_l0.detach().numpy()
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().numpy()
    tables = tiny.embeddings()
    source, target = (table.weight.detach().numpy() for table in (tables.source, tables.target))
    for row, ids in enumerate(rows):
        vector = fold(source[[*ids, EOS_ID]], tiny.encoder.weight.detach().numpy(), 3)
        hidden = np.zeros(6)
        for position, word in enumerate(words):
            hidden = np.tanh(
                of_word @ target[word] + of_source @ vector + recurrent @ hidden + bias
            )
            expected = tiny.softmax.matrix().detach().numpy() @ hidden
            np.testing.assert_allclose(found[row, position], expected, rtol=0, atol=1e-12)
