"""Tests of study plans: reading, refusing wrong plans, and estimating costs."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from study.cost import SPECIALS, cost_table, model_cost
from study.data import put_lists
from study.expand import expand
from study.plan import read_plan
from study.steps import StudyError

ROOT = Path(__file__).parents[3]
PLANS = ROOT / "examples" / "sutskever2014" / "plans"
NAMES = sorted(path.stem for path in PLANS.glob("*.toml"))


def plan(name):
    return read_plan(PLANS / f"{name}.toml")


def test_there_are_the_four_scales_and_the_converged_plan():
    assert NAMES == ["converged", "cpu", "gpu", "paper", "smoke"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lists", [True, False])
def test_every_step_has_its_inputs_from_the_data_or_another_step(name, lists):
    steps = expand(plan(name), lists)
    made = {path for step in steps for path in step.outputs}
    assert len({step.name for step in steps}) == len(steps)
    assert len(made) == sum(len(step.outputs) for step in steps)
    given = {f"data/{part}.{lang}" for part in ("train", "valid", "test") for lang in ("en", "fr")}
    given |= {"data/phrases.tsv", "lists/valid.nbest.gz", "lists/test.nbest.gz"}
    for step in steps:
        assert set(step.inputs) <= made | given, step.name
        assert not step.stdout or step.stdout in step.outputs


@pytest.mark.parametrize("name", NAMES)
def test_what_the_paper_compares_is_in_every_plan(name):
    own = plan(name)
    roles = own.roles
    forward, backward = own.model(roles.forward), own.model(roles.reversed)
    assert forward.options["arch"] == "lstm-forward"
    assert backward.options["arch"] == "lstm-reversed"
    assert {**own.model(roles.rnn).options}["arch"] == "rnn"
    large = next(e for e in own.ensembles if e.name == roles.large_ensemble)
    small = next(e for e in own.ensembles if e.name == roles.small_ensemble)
    layers = [{**own.train, **own.model(depth).options}.get("layers") for depth in own.roles.depth]
    assert layers == list(range(1, len(layers) + 1))
    if name != "smoke":
        assert len(forward.seeds) >= 3
        assert len(backward.seeds) >= 3
        assert (len(small.seeds), len(large.seeds)) == (2, 5)
        assert list(own.search.beams) == [1, 2, 12]
        assert len(layers) == 4


def edited(tmp_path, old, new):
    text = (PLANS / "smoke.toml").read_text()
    assert old in text
    path = tmp_path / "plan.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(("old", "new", "message"), [
    ('[search]', '[search]\nbeem = 3', "search has no key 'beem'"),
    ('label = "vanilla RNN"\n', "", "models.rnn: .*label"),
    ('seeds = [1, 2, 3]\n\n[search]', 'seeds = [1, 7]\n\n[search]', "reversed has no seed 7"),
    ('forward = "forward"', 'forward = "onward"', "no model 'onward'"),
    ('single = "reversed-1"', 'single = "reversed-9"', "no system 'reversed-9'"),
    ('[search]', '[search', "plan.toml"),
    ('title =', 'titel =', "titel"),
    ('curve-beams = [1, 4]', 'curve-beams = 4', "search.curve_beams is 4"),
    ('curve-beams = [1, 4]', 'curve-beams = ["a"]', "search.curve_beams is"),
    ('seeds = [1]', 'seeds = 1', "models.depth2.seeds is 1"),
    ('{ arch = "rnn", reverse-source = false }', '5', "models.rnn.options is 5"),
    ('[models.depth2]', '[models]\nodd = 3\n[models.depth2]', "models.odd is 3, not a table"),
    ('[corpus]', 'corpus = 3\n[other]', "corpus is 3, not a table"),
    ('beams = [1, 2, 4]', 'beams = [1, 2]', "search.beams must hold analysis.beam"),
    ('seeds = [1, 2]\noptions', 'seeds = [1, 1]\noptions', "models.forward: seeds must differ"),
    ('seeds = [1]', 'seeds = []', "models.depth2: seeds"),
    ('[ensembles.ensemble-2]', '[ensembles.reversed-1]', "ensembles.reversed-1: this is the name"),
    ('systems = ["forward-1", ', 'systems = [', "rescoring.systems has no forward"),
    ('"reversed-1", "ensemble-5"]', '"reversed-1"]', "rescoring.systems has no ensemble-5"),
])  # fmt: skip
def test_a_wrong_plan_is_refused_in_one_line_that_names_the_place(tmp_path, old, new, message):
    with pytest.raises(StudyError, match=message) as caught:
        read_plan(edited(tmp_path, old, new))
    assert str(caught.value).startswith(str(tmp_path))


def test_a_plan_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StudyError, match=r"none\.toml"):
        read_plan(tmp_path / "none.toml")


def test_the_paper_is_costed_as_the_paper_says():
    own = plan("paper")
    cost = model_cost(own, own.model("reversed"))
    # 160 M + 80 M + 80 M + 64 M, and the four special tokens' rows
    assert cost.weights == 384_000_000 + 3 * SPECIALS * 1000
    assert cost.words == (304e6 * 7.5, 348e6 * 7.5)
    # six operations a weight and word: the encoder's 32 M a source word, the decoder's 32 M and
    # the softmax's 80 M (with the special tokens' rows) a target word
    by_hand = 6 * 7.5 * (304e6 * 32e6 + 348e6 * (32e6 + 80e6 + SPECIALS * 1000))
    assert cost.operations == pytest.approx(by_hand)
    assert cost.memory == 4 * (cost.weights + cost.biases) * 2  # SGD: weights and gradients


def test_hours_are_operations_over_the_measured_speed(tmp_path):
    own = plan("paper")
    measured = tmp_path / own.cost.measured
    measured.parent.mkdir(parents=True)
    result = {"operations": 2e12, "seconds": 4.0, "peak_memory": 12e9}
    part = {"command": "python x", "machine": {"cores": 2}, "results": [result]}
    measured.write_text(json.dumps({"parts": {"memory": part}}))
    text = "\n".join(cost_table(own, tmp_path))
    hours = model_cost(own, own.model("reversed")).operations / 0.5e12 / 3600
    assert f"| {hours:,.0f} |" in text
    assert "12.0 GB" in text
    measured.write_text("{}")
    with pytest.raises(StudyError, match="no measured training"):
        list(cost_table(own, tmp_path))


def test_lists_are_links_or_the_first_hypotheses(tmp_path):
    """A change from whole lists to the first hypotheses leaves the user's file as it is."""
    text = "0 ||| a ||| ||| 1\n0 ||| b ||| ||| 0\n2 ||| c ||| ||| 1\n"
    own = tmp_path / "own"
    own.mkdir()
    whole = plan("cpu")
    for name in (whole.lists.valid, whole.lists.test):
        with gzip.open(own / name, "wt") as file:
            file.write(text)
    part = replace(whole, lists=replace(whole.lists, valid_nbest=1))
    found = tmp_path / "lists" / "valid.nbest.gz"
    for chosen, expected in (
        (whole, text), (part, text.replace("0 ||| b ||| ||| 0\n", "")), (whole, text),
        (part, text.replace("0 ||| b ||| ||| 0\n", "")),
    ):  # fmt: skip
        assert put_lists(chosen, own, tmp_path)
        test = tmp_path / "lists" / "test.nbest.gz"
        for path, content in ((found, expected), (own / whole.lists.valid, text), (test, text)):
            assert gzip.decompress(path.read_bytes()).decode() == content
