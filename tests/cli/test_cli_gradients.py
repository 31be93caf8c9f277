"""Tests of `s2st analyze gradients`."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def run(s2st, world):
    def call(*options, models=None):
        models = [world.forward, world.reversed] if models is None else models
        files = "--source", world.source, "--target", world.target
        return s2st("analyze", "gradients", *models, *files, "--threads", 1, *options)

    return call


def records(outcome):
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.lines]


@pytest.fixture
def links(world, tmp_path):
    """Monotone alignments, as fast_align writes them."""
    lines = []
    texts = (path.read_text().split("\n")[:-1] for path in (world.source, world.target))
    for source, target in zip(*texts, strict=True):
        count = min(len(source.split()), len(target.split()))
        lines.append(" ".join(f"{i}-{i}" for i in range(count)))
    path = tmp_path / "links"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_records_agree_with_gradients_of_the_models(run, world):
    import torch

    from s2st.analysis.source_gradients import gradient_norms, load_differentiable

    found = records(run("--format", "json", "--sentences", 3, "--bins", 1))
    assert [one["model"] for one in found] == ["forward", "reversed"]
    assert [one["order"] for one in found] == ["forward", "reversed"]
    pairs = [
        [path.read_text().split("\n")[line].split() for path in (world.source, world.target)]
        for line in range(3)
    ]
    for one, path in zip(found, (world.forward, world.reversed), strict=True):
        model = load_differentiable(str(path), torch.device("cpu"))
        norms = [
            gradient_norms(model.model, model.source.ids(a), model.target.ids(b))[:-1, :-1]
            for a, b in pairs
        ]
        together = np.concatenate([part.flatten() for part in norms])
        assert one["pairs"] == together.size
        assert one["norm"] == pytest.approx(together.mean(), rel=1e-5)
        means = np.mean([part.mean() for part in norms])
        assert one["by_position"][0][0] == pytest.approx(means, rel=1e-5)
        assert sum(point["pairs"] for point in one["by_lag"]) == together.size
        assert one["aligned"] is None


def test_lags_of_monotone_alignments(run, world, links):
    *_, forward, backward = records(
        run("--format", "json", "--sentences", 5, "--word-alignments", links)
    )
    texts = [path.read_text().split("\n")[:5] for path in (world.source, world.target)]
    expected = [
        (len(a.split()), min(len(a.split()), len(b.split()))) for a, b in zip(*texts, strict=True)
    ]
    assert (forward["order"], backward["order"]) == ("forward", "reversed")
    # word i is read in step i + 1 of I + 1 and its translation predicted in step I + 2 + i
    assert forward["minimal"] == pytest.approx(np.mean([words + 1 for words, _ in expected]))
    assert forward["mean"] == pytest.approx(forward["minimal"])
    assert backward["minimal"] == 2
    # reversed: 2, 4, ..., 2 x links
    assert backward["mean"] == pytest.approx(np.mean([count + 1 for _, count in expected]))
    assert backward["links"] == sum(count for _, count in expected)
    assert sum(item["links"] for item in backward["counts"]) == backward["links"]


def test_tables_and_figures(run, links, tmp_path):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "f"
    outcome = run(
        "--sentences", 4, "--min-pairs", 3, "--word-alignments", links, "--figure", figure
    )
    assert outcome.code == 0, outcome.err
    models, lags, curves = outcome.out.split("\n\n")
    assert [line.split("\t")[0] for line in models.split("\n")] == ["model", "forward", "reversed"]
    assert [line.split("\t")[0] for line in lags.split("\n")] == ["order", "forward", "reversed"]
    rows = [line.split("\t") for line in curves.split("\n")[1:-1]]
    assert all(int(pairs) >= 3 for _, _, pairs, _ in rows)
    for name in ("f.svg", "f.png", "f-map.svg", "f-map.png"):
        assert (tmp_path / name).exists()
        assert str(tmp_path / name) in outcome.err


def test_links_from_a_lexicon_are_the_most_probable_source_words(run, world, tmp_path):
    source, target = (
        path.read_text().split("\n")[0].split() for path in (world.source, world.target)
    )
    lexicon = tmp_path / "lexicon"
    lexicon.write_text(f"{source[0]}\t{target[0]}\t0.2\n{source[-1]}\t{target[0]}\t0.7\n")
    *_, forward, _ = records(run("--format", "json", "--sentences", 1, "--lexicon", lexicon))
    assert target.count(target[0]) == 1
    assert forward["links"] == 1
    # the last word is read one step before </s>; its translation is predicted first
    assert forward["counts"] == [{"lag": 2, "links": 1}]


def test_links_from_attention_are_those_of_its_map(run, s2st, world, attending):
    model = attending / "checkpoint_best"
    *_, forward, _ = records(run("--format", "json", "--sentences", 1, "--aligner", model))
    files = "--source", world.source, "--target", world.target
    outcome = s2st("analyze", "attention", "--checkpoint", model, *files, "--format", "json")
    (found,) = records(outcome)
    weights = np.array(found["attention"])[:-1, :-1]
    length, width = weights.shape
    lags = [width + 1 + j - int(row.argmax()) for j, row in enumerate(weights)]
    expected = sorted((lag, lags.count(lag)) for lag in set(lags))
    assert [(item["lag"], item["links"]) for item in forward["counts"]] == expected
    assert forward["links"] == length


def test_models_with_attention_and_labels(run, attending):
    models = [f"mine={attending}/checkpoint_best"]
    found = records(run("--format", "json", "--sentences", 2, models=models))
    assert [(one["model"], one["architecture"]) for one in found] == [("mine", "gru-attention")]


def test_what_cannot_be_measured_is_said(run, s2st, world, links, tmp_path):
    model = world.forward
    run(models=[model, model]).check_error(2, "two models have the label forward")
    run(models=["=x"]).check_error(2, "label=CHECKPOINT")
    two = "--word-alignments", links, "--lexicon", links
    run(*two).check_error(2, "only one of --word-alignments, --lexicon and --aligner")
    short = tmp_path / "short"
    short.write_text("0-0\n")
    run("--word-alignments", short).check_error(65, "short", "short, line 2: ends after 1 lines")
    far = tmp_path / "far"
    far.write_text("0-99\n" + "\n" * 99)
    run("--word-alignments", far, "--sentences", 1).check_error(65, "far, line 1", "0-99", "words")
    run("--aligner", world.gru).check_error(2, "--aligner needs a model with attention")
    empty = tmp_path / "empty"
    empty.write_text("\n\n")
    blank = "analyze", "gradients", model, "--source", empty, "--target", empty
    s2st(*blank).check_error(65, "no pair of lines")
    victim = tmp_path / "v-map.svg"
    victim.write_text("precious")
    outcome = s2st(
        "analyze", "gradients", model, "--source", victim, "--target", victim, "--figure",
        tmp_path / "v",
    )  # fmt: skip
    outcome.check_error(2, "v-map.svg")
    assert Path(victim).read_text() == "precious"
