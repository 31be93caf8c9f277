"""Length limits and banned words, by hand."""

from dataclasses import replace

import pytest
import torch

from s2st.data.batch import make_source
from s2st.errors import ConfigError, UsageError
from s2st.options.option_fields import make_config
from s2st.options.resolution import CommandSpec, OptionSource, Role, resolve
from s2st.search.base import length_limits
from s2st.search.exhaustive import ExhaustiveSearch
from s2st.search.registry import SEARCHES, ExhaustiveConfig, SearchConfig
from s2st.search.restrictions import restrictions

SOURCE = make_source([[], [4], [4] * 5, [4] * 10], range(4))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [10, 12, 20, 30]),  # 2 n + 10
        ({"max_len_a": 0.0, "max_len_b": 0}, [0, 0, 0, 0]),
        ({"max_len_a": 1.5, "max_len_b": 0}, [0, 1, 7, 15]),  # rounded down
        ({"max_len_a": 0.1, "max_len_b": 3}, [3, 3, 3, 4]),
        # 1.2 x 5 is 6 words though 1.2 is no exact binary number
        ({"max_len_a": 1.2, "max_len_b": 0}, [0, 1, 6, 12]),
    ],
)
def test_length_limits(options, expected):
    assert length_limits(SearchConfig(**options), SOURCE).tolist() == expected


def test_a_least_length_above_a_limit_is_refused():
    config = SearchConfig(max_len_a=1.0, max_len_b=4, min_len=5)
    with pytest.raises(UsageError, match=r"^input line 1: --min-len 5 .* allow 4 words there"):
        length_limits(config, SOURCE)
    assert length_limits(replace(config, min_len=4), SOURCE).tolist() == [4, 5, 9, 14]


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({}, False),
        ({"min_len": 12}, False),  # 2 x 1 + 10
        ({"min_len": 13}, True),
        ({"min_len": 50}, True),
        ({"min_len": 1_000_000}, True),
        ({"min_len": 50, "max_len_b": 50}, False),
        ({"min_len": 1, "max_len_a": 1.0, "max_len_b": 0}, False),
        ({"min_len": 1, "max_len_a": 0.9, "max_len_b": 0}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", SEARCHES.names())
def test_a_least_length_that_one_word_cannot_reach_is_refused_before_the_work(
    name, options, refused
):
    spec = CommandSpec((), (Role("search", SEARCHES, name, "search"),))
    layers = [OptionSource("command line", options)]
    if not refused:
        assert resolve(spec, layers).configs["search"].min_len == options.get("min_len", 0)
        return
    with pytest.raises(UsageError, match="contradicts --max-len-a"):
        resolve(spec, layers)


@pytest.mark.parametrize(
    "values", [{"max_len_a": float("inf")}, {"max_len_a": 1e30}, {"max_len_b": 10**30}], ids=str
)
def test_a_limit_that_would_wrap_round_to_none_is_refused(values):
    with pytest.raises(ConfigError, match="the maximum is"):
        make_config(SearchConfig, values, "here")


def allowed(config, step, at_limit=False):
    """Words that may follow in two rows, the first of which may be at its limit."""
    source = make_source([[], [4] * 5], range(2))
    config = replace(config, max_len_a=1.0, max_len_b=step if at_limit else step + 9)
    forbid = restrictions(config, source, torch.device("cpu"))
    for _ in range(step):
        forbid = forbid.select(torch.arange(2), torch.tensor([5, 5]))
    log_probs = forbid(torch.zeros(2, 6))
    return [torch.nonzero(row > -torch.inf).squeeze(1).tolist() for row in log_probs]


def test_padding_and_bos_never_follow():
    assert allowed(SearchConfig(), 0) == [[2, 3, 4, 5]] * 2


def test_unk_may_be_banned():
    assert allowed(SearchConfig(unk=False), 0) == [[2, 4, 5]] * 2


def test_eos_only_from_the_least_length_on():
    config = SearchConfig(min_len=2)
    assert allowed(config, 0)[0] == allowed(config, 1)[0] == [3, 4, 5]
    assert allowed(config, 2)[0] == [2, 3, 4, 5]


def test_only_eos_at_the_limit_and_only_in_those_rows():
    assert allowed(SearchConfig(), 3, at_limit=True) == [[2], [2, 3, 4, 5]]


def test_exhaustive_search_out_of_reach_is_one_clear_error():
    from fakes import FakeScorer, random_table

    scorer = FakeScorer({4: random_table(1, 4)}, "v w x y")
    with pytest.raises(UsageError, match="too many hypotheses"):
        ExhaustiveSearch(ExhaustiveConfig())(scorer, SOURCE)
