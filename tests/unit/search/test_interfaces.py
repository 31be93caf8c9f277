"""The worked examples of docs/interfaces.md and of examples/plugin run, and do what they say."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders import mixed_members
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.search import base, registry, restriction, restrictions, utilities
from s2st.search.registry import SEARCHES, GreedyConfig
from s2st.text.vocabulary import BOS_ID, EOS_ID

ROOT = Path(__file__).parents[3]
SOURCES = [[4], [5, 6], [6, 4, 4]]


def contains(words, phrase):
    size = len(phrase)
    return any(words[i : i + size] == phrase for i in range(len(words) - size + 1))


@pytest.fixture
def scorer():
    return FakeScorer({key: random_table(key, 4) for key in (4, 5, 6)}, "v w x y")


@pytest.fixture
def registries(monkeypatch):
    """The registries, which are as before after the test."""
    for one in (SEARCHES, utilities.UTILITIES):
        monkeypatch.setattr(one, "_entries", dict(one._entries))


@pytest.fixture
def page(registries):
    """The names that the examples of the page define."""

    names = {"__name__": "page", "torch": torch, "BOS_ID": BOS_ID, "EOS_ID": EOS_ID}
    for module in (base, registry, restriction, restrictions, utilities):
        names |= {name: value for name, value in vars(module).items() if name[0] != "_"}
    text = (ROOT / "docs" / "interfaces.md").read_text("utf-8")
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(example, names)
    return names


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_len": 2, "unk": False},
        {"no_repeat_ngram_size": 1},
        {"repetition_penalty": 3.0, "max_len_b": 4, "max_len_a": 0.0},
    ],
    ids=str,
)
def test_the_worked_example_is_greedy_search(page, scorer, options):
    constraints = (((4, 5),), (), ((7,), (6, 6)))
    plain = make_source(SOURCES, range(3))
    for one in (scorer, EnsembleScorer(mixed_members())):
        for source in (
            plain,
            replace(plain, constraints=constraints, prefixes=((7,), (), (4, 4))),
        ):
            entry = SEARCHES.get("my-greedy")
            mine = entry.build(entry.config_type(**options))(one, source)
            ours = SEARCHES.get("greedy").build(GreedyConfig(**options))(one, source)
            if source.constraints:  # which a beam of 1 begins at once, and the example late
                for (hypothesis,), phrases in zip(mine, constraints, strict=True):
                    assert all(contains(hypothesis.tokens, phrase) for phrase in phrases)
                continue
            assert [h.tokens for (h,) in mine] == [h.tokens for (h,) in ours]
            assert [h.finished for (h,) in mine] == [h.finished for (h,) in ours]
            for (left,), (right,) in zip(mine, ours, strict=True):
                assert left.token_log_probs == pytest.approx(right.token_log_probs)


def test_the_restriction_of_the_page_keeps_words_apart(page, scorer):
    source = make_source(SOURCES, range(3))
    rule = page["NoDoubling"](torch.zeros(3, dtype=torch.int64))
    forbid = restrictions.restrictions(GreedyConfig(), source, torch.device("cpu"), [rule])
    forbid = forbid.select(torch.tensor([2, 0]), torch.tensor([5, 6]))
    table = forbid(torch.zeros(2, 8))
    assert [row.nonzero().squeeze(1).tolist() for row in table == -torch.inf] == [
        [0, 1, 5],
        [0, 1, 6],
    ]


def test_the_utility_of_the_page_can_be_chosen(page, scorer):
    entry = SEARCHES.get("mbr")
    groups = entry.build(entry.config_type(utility="same-length", candidates=5))(
        scorer, make_source(SOURCES, range(3))
    )
    assert all(group[0].score <= 0 for group in groups)


@pytest.fixture
def plugin(registries, monkeypatch):
    path = ROOT / "examples" / "plugin" / "threshold_search.py"
    spec = importlib.util.spec_from_file_location("threshold_search", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "threshold_search", module)
    spec.loader.exec_module(module)
    return module


def found(name, scorer, source, **options):
    entry = SEARCHES.get(name)
    return entry.build(entry.config_type(max_len_a=0.0, **options))(scorer, source)


def test_the_plugins_search_without_pruning_is_exhaustive(plugin, scorer):
    assert len(Path(plugin.__file__).read_text("utf-8").splitlines()) < 110
    constraints = (((4, 5),), (), ((7,), (6,)))
    source = replace(
        make_source(SOURCES, range(3)), constraints=constraints, prefixes=((7,), (), (4,))
    )
    options = {"max_len_b": 3, "nbest": 4, "repetition_penalty": 1.5}
    wide = found("threshold", scorer, source, threshold=1000.0, width=2000, **options)
    every = found("exhaustive", scorer, source, **{**options, "repetition_penalty": 1.0})
    for left, right in zip(wide, every, strict=True):
        assert [h.tokens for h in left] == [h.tokens for h in right]
        assert [h.log_prob for h in left] == pytest.approx([h.log_prob for h in right])


def test_the_plugins_search_prunes(plugin, scorer):
    """With no threshold it is greedy, with a narrow one in between."""
    source = make_source(SOURCES, range(3))
    greedy = found("greedy", scorer, source, max_len_b=6)
    scores = []
    for threshold in (0.0, 0.7, 1.5, 1000.0):
        scorer.rows.clear()
        groups = found("threshold", scorer, source, max_len_b=6, threshold=threshold)
        scores.append((sum(scorer.rows), sum(group[0].score for group in groups)))
        assert all(a[0].score >= b[0].score - 1e-9 for a, b in zip(groups, greedy, strict=True))
    assert scores == sorted(scores)
