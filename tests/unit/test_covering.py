"""The subset of test cases that `make test` runs covers every pair of parameter values."""

from itertools import product

from covering import covering


def test_every_combination_is_kept_by_few_cases():
    cases = [
        {("search", s, "cell", c), ("search", s, "depth", d), ("cell", c, "depth", d)}
        for s, c, d in product("abcd", "xyz", (1, 2))
    ]
    chosen = covering(cases)
    assert set().union(*(cases[index] for index in chosen)) == set().union(*cases)
    assert 4 * 3 <= len(chosen) < len(cases)  # each search meets each cell at least


def test_nothing_is_chosen_of_nothing():
    assert covering([]) == set()


def test_a_case_that_adds_nothing_is_left_out():
    assert covering([{1, 2}, {1}, {2}, {3}]) == {0, 3}
