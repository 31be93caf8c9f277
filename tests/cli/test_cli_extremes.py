"""Numbers and text at the limits of floating point, recursion and encodings."""

import json

import pytest

from s2st.options.option_fields import load_json
from s2st.training.observer import perplexity_text

ARPA = """\\data\\
ngram 1=4

\\1-grams:
-900 </s>
-99 <s>
-900 the
-900 <unk>

\\end\\
"""


def test_a_perplexity_beyond_floating_point_is_told(s2st, tmp_path):
    """Each token has the log10 probability -900: the perplexity is 10 to the power of 900."""
    model, text = tmp_path / "tiny.arpa", tmp_path / "text"
    model.write_text(ARPA)
    text.write_text("the the\n")
    outcome = s2st("score", "--checkpoint", model, "--target", text)
    assert outcome.code == 0, outcome.err
    assert "perplexity 1.00e+900; tokens of probability 0" in outcome.err.splitlines()[-1]
    assert float(outcome.out) == pytest.approx(-3 * 900 * 2.302585093, abs=1e-3)


@pytest.mark.parametrize(
    ("nats", "text"),
    [
        (0.0, "1.00"),
        (2.302585092994046, "10.00"),
        (23.025850929940457, "10000000000.00"),
        (690.7755278982137, "1.00e+300"),
        (900 * 2.302585092994046, "1.00e+900"),
        (-0.6931471805599453, "0.50"),
        (27.63, "9.99e+11"),
        (27.63102, "1.00e+12"),
        (float("inf"), "infinite"),
        (float("nan"), "not a number"),
        (1e308, "infinite"),
    ],
)
def test_perplexities_as_text(nats, text):
    assert perplexity_text(nats) == text


def test_a_comment_that_nests_without_end_is_a_damaged_comment(s2st, tmp_path):
    model = tmp_path / "deep.arpa"
    model.write_text(f"# s2st tokenizer {'[' * 100_000}\n{ARPA}")
    command = ("score", "--checkpoint", model, "--target", tmp_path / "text")
    (tmp_path / "text").write_text("the\n")
    s2st(*command).check_error(65, f"{model}, line 1: the comment names no known tokenizer")


def test_a_job_that_nests_without_end_is_damaged(s2st, world, tmp_path):
    lists, out = tmp_path / "lists", tmp_path / "out"
    lists.write_text("0 ||| le ||| A= 1 ||| -1\n")
    command = ("rescore-nbest", lists, "--source", world.source, "--checkpoint", world.forward)
    (tmp_path / "out.parts").mkdir()
    (tmp_path / "out.parts" / "job").write_bytes(b"s2st work queue\n" + b"[" * 100_000)
    resumed = s2st(*command, "-o", out, "--resume")
    resumed.check_error(2, "out.parts", "its job file, which is damaged")


def test_json_that_nests_without_end_is_a_value_error():
    for text in ("[" * 100_000, '{"a":' * 100_000, b"[" * 100_000, "1" * 5000, "{"):
        with pytest.raises(ValueError, match=r".") as caught:
            load_json(text)
        assert not isinstance(caught.value, RecursionError)
    assert load_json('{"a": [1]}') == json.loads(b'{"a": [1]}')


@pytest.mark.parametrize(
    "environment",
    ["PYTHONIOENCODING=ascii", "PYTHONIOENCODING=latin-1:strict", "LC_ALL=C PYTHONUTF8=0"],
)
def test_text_is_utf8_whatever_python_is_told(shell, tmp_path, environment):
    """`compare` failed with UnicodeEncodeError where standard output was ASCII."""
    (tmp_path / "a").write_text("le café noir .\nÉté 한국\n", "utf-8")
    (tmp_path / "b").write_text("le café vert .\nÉté 日本\n", "utf-8")
    script = f"cd $1; export {environment}; "
    systems = "-m s2st_cli compare a b --ref a --source b --samples 3"
    for command in (systems, f"{systems} --format json"):
        outcome = shell(f"{script} exec python {command}", tmp_path)
        assert outcome.code == 0, outcome.err
        assert "Été 日本" in outcome.out
    (tmp_path / "a").write_bytes(b"\xff\n")
    outcome = shell(f"{script} exec python -m s2st_cli score $'\\303\\251' --ref a", tmp_path)
    assert outcome.code in (65, 66)
    outcome = shell(f"{script} exec python -m s2st_cli generate --help", tmp_path)
    assert outcome.code == 0, outcome.err
