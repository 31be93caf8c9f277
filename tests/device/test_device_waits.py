"""How often the CPU waits for the device: upper bounds for an update and for a decoding step.

Each bound has its reason beside it. A test that fails prints the lines of s2st that wait.
"""

import pytest
import torch
from builders import equal_lengths, scorer, source_batch, sources_for, trainable
from simulated_device import DEVICE, Waits, counted
from trainers import trainer
from walk import models, pairs

from s2st.criteria.registry import CRITERIA
from s2st.search.registry import SEARCHES
from s2st.training.optimizers import OPTIMIZERS

pytestmark = pytest.mark.usefixtures("sim")

FIRST = {name: config for _, name, config in reversed(models())}
BATCHES = 1  # of an update

# whether loss and gradient norm are finite, before the weights change
FINITE_CHECK = 1
# of each table with a sparse gradient and each batch: torch's backward pass drops the padding (2),
# and the sum of entries of the same row has a size that depends on ids
SPARSE = 3

# beyond that
UPDATE = {
    "aligned-rnn": 1 * BATCHES,  # which targets are words, since EOS has no loss
}

# A beam tells the CPU its choices, and then which of them can still win. Once the shortest limit is
# reached, each step asks whether a row is at its limit.
BEAM = 2 + 1
# the attention of the step, which is part of the hypotheses
ATTENTION = 1
STEP = {
    "beam": BEAM,
    "greedy": BEAM,
    "diverse-beam": BEAM,
    # the words with their log-probabilities, and whether a row is at its limit
    "sampling": 1 + 1,
    "mbr": 1 + 1,
    # the draws and choices of each sentence are made on the CPU, in lists: not optimized
    "stochastic-beam": 11,
}
# of the architecture in a step
MODEL = {
    # distinct words, which sentences are still open, and the most rows of a sentence
    "lstm-attention": 3,
    "gru-attention": 3,
    # groups of rows of a sentence (3), and which cached words are still needed
    "transformer": 4,
    "transformer-base": 4,
    "transformer-lm": 4,
}
# of a whole search of four sentences: two where rows of a sentence reach their limit, and two more
START = 2 * 4 + 2


def waits_of_update(folder, name, criterion, optimizer) -> tuple[Waits, int]:
    """Waits of the second update, and the tables with sparse gradients."""
    config = FIRST[name]
    made = trainer(
        folder, architecture=name, config=config, device=torch.device(DEVICE), criterion=criterion,
        optimizer=optimizer, training=pairs(name, config), clip_norm=1.0, ema_decay=0.5,
        update_freq=BATCHES, lr=0.01,
    )  # fmt: skip
    made._update()
    with counted() as waits:
        made._update()
    tables = [m for m in made.parts.model.modules() if getattr(m, "sparse", False)]
    return waits, len(tables)


@pytest.mark.parametrize("name", trainable())
def test_an_update_waits_for_the_finite_check_only(tmp_path, name):
    waits, tables = waits_of_update(tmp_path, name, "cross-entropy", "adam")
    assert tables == 0
    assert waits.total() <= FINITE_CHECK + UPDATE.get(name, 0), f"\n{waits}"


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
@pytest.mark.parametrize("criterion", CRITERIA.names())
def test_criteria_and_optimizers_wait_no_more(tmp_path, criterion, optimizer):
    waits, tables = waits_of_update(tmp_path, "lstm", criterion, optimizer)
    assert waits.total() <= FINITE_CHECK + SPARSE * tables * BATCHES, f"\n{waits}"


def searched(name, search) -> tuple[Waits, int]:
    """Waits of a whole search of four sentences, and its steps."""
    made = scorer(name, FIRST[name], 1, device=DEVICE)
    steps, advance = 0, made.advance

    def counting(*arguments):
        nonlocal steps
        steps += 1
        return advance(*arguments)

    made.advance = counting  # type: ignore[method-assign]
    entry = SEARCHES.get(search)
    limits = {"max_len_a": 1.0, "max_len_b": 0 if equal_lengths(made.model) else 4}
    run = entry.build(entry.config_type(**limits))
    with counted() as waits:
        run(made, source_batch(sources_for(made, 4)))
    return waits, steps


@pytest.mark.parametrize("search", list(STEP))
@pytest.mark.parametrize("name", ["lstm"])
def test_a_step_of_each_search(name, search):
    waits, steps = searched(name, search)
    assert waits.total() <= START + STEP[search] * steps, f"\n{steps} steps\n{waits}"


@pytest.mark.parametrize("name", trainable())
def test_a_beam_step_of_each_architecture(name):
    waits, steps = searched(name, "beam")
    limit = STEP["beam"] + ATTENTION + MODEL.get(name, 0)
    assert waits.total() <= START + limit * steps, f"\n{steps} steps\n{waits}"


def test_the_counts_name_each_search():
    """A new search gets a bound; the exhaustive one is for a handful of words."""
    assert set(SEARCHES.names()) == {*STEP, "exhaustive"}
