"""Tests of `s2st generate`: line i for line i, whatever the line and however it is batched."""

import json
import math
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from s2st.text.nbest_lists import read_nbest

# an untrained model likes long outputs; no test here needs them
SHORT = ["--max-len-a", "0", "--max-len-b", "6", "--threads", "1"]


@pytest.fixture
def generate(s2st, world):
    """Translates bytes with the forward model and options."""

    def run(data: bytes, *options: object, model=world.forward):
        outcome = s2st("generate", "--checkpoint", model, *SHORT, *options, stdin=data)
        assert outcome.code == 0, outcome.err
        return outcome

    return run


@pytest.fixture(scope="module")
def text(world) -> bytes:
    return world.source.read_bytes()


ODD = [
    b"the cat sleeps .",
    b"",
    b"   ",
    b"a " * 5000,
    "the\u2028cat\u2029\u0085 .".encode(),
    b"\x0c",
    b"the\rcat",
    b"a\x00b",
    "\u00a0".encode(),
    b"never seen words only",
    b"<s> </s> <pad> <unk>",
]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_as_many_lines_as_the_input(generate, ending, last):
    data = ending.join(ODD) + (ending if last else b"")
    lines = generate(data).data.split(b"\n")
    assert lines.pop() == b""  # the output ends with a newline
    assert len(lines) == len(ODD)
    # lines of white space only stay empty, the others do not vanish into their neighbours
    alone = [generate(line + b"\n").data for line in ODD]
    assert [line + b"\n" for line in lines] == alone
    assert [lines[i] for i in (1, 2, 5)] == [b"", b"", b""]


@pytest.mark.parametrize(
    ("data", "count"), [(b"", 0), (b"\n", 1), (b"the cat", 1), (b"the cat\n", 1), (b"\n\n\n", 3)]
)
def test_no_line_and_one_line(generate, data, count):
    assert generate(data).data.count(b"\n") == count


@pytest.mark.parametrize("search", ["beam", "greedy", "diverse-beam", "stochastic-beam", "mbr"])
def test_batches_and_buffers_do_not_matter(generate, text, search):
    text = text + b"\n" + b"the " * 60 + b"\n" + text
    expected = generate(text, "--search", search).data
    for options in (
        ["--batch-size", 1],
        ["--buffer-size", 1],
        ["--batch-size", 3, "--buffer-size", 7],
    ):
        assert generate(text, "--search", search, *options).data == expected


def test_greedy_is_a_beam_of_one(generate, text, world):
    for model in (world.forward, world.gru):
        greedy = generate(text, "--search", "greedy", "--format", "json", model=model)
        beam = generate(text, "--beam", 1, "--format", "json", model=model)
        for one, other in zip(greedy.lines, beam.lines, strict=True):
            first, second = (json.loads(x)["hypotheses"][0] for x in (one, other))
            assert first["text"] == second["text"]
            assert first["log_prob"] == pytest.approx(second["log_prob"], abs=1e-4)


def test_file_gz_and_standard_input_agree(generate, s2st, world, text, tmp_path):
    import gzip

    expected = generate(text).data
    (tmp_path / "x.gz").write_bytes(gzip.compress(text))
    for path in (world.source, tmp_path / "x.gz", "-"):
        outcome = s2st("generate", "--checkpoint", world.forward, *SHORT, path, stdin=text)
        assert outcome.data == expected
    s2st("generate", "--checkpoint", world.forward, *SHORT, world.source, "-o", tmp_path / "y.gz")
    assert gzip.decompress((tmp_path / "y.gz").read_bytes()) == expected


def test_json_lines(generate, text):
    outcome = generate(b"\n" + text, "--format", "json", "--nbest", 2)
    records = [json.loads(line) for line in outcome.lines]
    assert [record["line"] for record in records] == list(range(13))
    assert [record["source"] for record in records] == ["", *text.decode().splitlines()]
    assert [h["text"] for h in records[0]["hypotheses"]] == [""]
    for record in records[1:]:
        scores = [h["score"] for h in record["hypotheses"]]
        assert 1 <= len(scores) <= 2
        assert scores == sorted(scores, reverse=True)
        for hypothesis in record["hypotheses"]:
            assert math.fsum(hypothesis["token_log_probs"]) == pytest.approx(
                hypothesis["log_prob"], abs=1e-4
            )
            words = hypothesis["text"].split(" ") if hypothesis["text"] else []
            assert len(hypothesis["token_log_probs"]) == len(words) + 1  # EOS
    texts = [record["hypotheses"][0]["text"] for record in records]
    assert texts == generate(b"\n" + text).lines


def test_moses_lists_parse_and_feed_rescoring(generate, s2st, world, text, tmp_path):
    data = b"\n" + text
    outcome = generate(data, "--format", "moses", "--nbest", 3, "--beam", 4)
    groups = list(read_nbest(outcome.lines, "out"))
    assert [group[0].id for group in groups] == list(range(13))
    for group in groups:
        assert len({entry.hypothesis for entry in group}) == len(group) <= 3
        assert [name for name, _ in group[0].features] == ["LogProb"]
        totals = [entry.total for entry in group]
        assert totals == sorted(totals, reverse=True)
    (tmp_path / "list").write_bytes(outcome.data)
    (tmp_path / "src").write_bytes(data)
    arguments = ["--checkpoint", world.forward, "--source", tmp_path / "src", "--threads", "1"]
    rescored = s2st("rescore-nbest", tmp_path / "list", *arguments)
    assert rescored.code == 0, rescored.err
    # the same model agrees with itself: the best of the list stays the best
    assert rescored.lines == [group[0].hypothesis for group in groups]
    again = s2st("rescore-nbest", tmp_path / "list", *arguments, "--format", "nbest")
    for group, old in zip(read_nbest(again.lines, "again"), groups, strict=True):
        for entry, before in zip(group[:1], old[:1], strict=True):
            if old[0].hypothesis:
                assert dict(entry.features)["S2ST0"][0] == pytest.approx(before.total, rel=1e-3)


def test_ways_to_name_an_ensemble_agree(s2st, world, tmp_path, text):
    paths = [world.forward, world.reversed, world.gru]
    (tmp_path / "three.toml").write_text(f"members = {[str(p) for p in paths]}\n")
    (tmp_path / "two.toml").write_text(
        f'arch = "ensemble"\nmembers = {[str(p) for p in paths[:2]]}\n'
    )
    named = [argument for path in paths for argument in ("--checkpoint", path)]
    ways = [
        named,
        ["--path", ":".join(map(str, paths))],
        ["--checkpoint", paths[0], "--path", f"{paths[1]}:{paths[2]}"],
        ["--checkpoint", tmp_path / "three.toml"],
        ["--checkpoint", tmp_path / "two.toml", "--checkpoint", paths[2],
         "--ensemble-weight", 2, "--ensemble-weight", 1],
    ]  # fmt: skip
    found = [
        records(s2st("generate", *way, *SHORT, "--format", "json", stdin=text)) for way in ways
    ]
    for other in found[1:]:
        for (a, a_score), (b, b_score) in zip(found[0], other, strict=True):
            assert a == b
            assert a_score == pytest.approx(b_score, abs=1e-4)


def records(outcome):
    assert outcome.code == 0, outcome.err
    best = [json.loads(line)["hypotheses"][0] for line in outcome.lines]
    return [(item["text"], item["log_prob"]) for item in best]


def test_ensemble_files_name_members_relative_to_themselves(s2st, world, text, tmp_path):
    path = tmp_path / "relative.toml"
    members = [os.path.relpath(model, tmp_path) for model in (world.forward, world.gru)]
    path.write_text(f"members = {json.dumps(members)}\n")
    by_file = s2st("generate", "--checkpoint", path, *SHORT, stdin=text)
    by_name = s2st(
        "generate", "--checkpoint", world.forward, "--checkpoint", world.gru, *SHORT, stdin=text
    )
    assert by_file.data == by_name.data != b""


def test_ensemble_of_one_model_twice_is_the_model(generate, world, text):
    one = records(generate(text, "--format", "json"))
    two = records(generate(text, "--checkpoint", world.forward, "--format", "json"))
    for (a, a_score), (b, b_score) in zip(one, two, strict=True):
        assert a == b
        assert a_score == pytest.approx(b_score, abs=1e-4)


def test_ensemble_weights_lean_to_a_member(s2st, world, text):
    def run(*weights):
        options = [x for weight in weights for x in ("--ensemble-weight", weight)]
        both = ["--checkpoint", world.forward, "--checkpoint", world.gru]
        return records(s2st("generate", *both, *options, *SHORT, "--format", "json", stdin=text))

    alone = [
        records(s2st("generate", "--checkpoint", m, *SHORT, "--format", "json", stdin=text))
        for m in (world.forward, world.gru)
    ]
    for weights, expected in (((1e9, 1), alone[0]), ((1, 1e9), alone[1])):
        for (a, a_score), (b, b_score) in zip(run(*weights), expected, strict=True):
            assert a == b
            assert a_score == pytest.approx(b_score, abs=1e-4)
    assert [score for _, score in run()] == pytest.approx([score for _, score in run(3, 3)])


def test_options_from_a_file_and_the_command_line_wins(generate, text, tmp_path):
    (tmp_path / "o.toml").write_text('search = "greedy"\nmax-len-b = 3\n')
    from_file = generate(text, "--config", tmp_path / "o.toml", "--format", "json")
    assert from_file.data == generate(text, "--search", "greedy", "--format", "json").data
    plain = generate(text, "--config", tmp_path / "o.toml", "--search", "beam", "--beam", 2)
    assert plain.data == generate(text, "--beam", 2).data


def test_bad_bytes_are_replaced_when_asked(generate):
    outcome = generate(b"the \xff cat\nok\n", "--encoding-errors", "replace")
    assert outcome.data.count(b"\n") == 2
    assert "read as U+FFFD in 1 lines" in outcome.err


def test_a_warning_is_said_once_and_names_the_input(generate, s2st, world, tmp_path):
    outcome = generate(b"the cat\r\na dog\r\n")
    assert "s2st: warning: standard input, line 1: removed CR from CRLF line ends\n" in outcome.err
    (tmp_path / "list").write_bytes(b"0 ||| le chat ||| ||| -1\r\n")
    (tmp_path / "src").write_bytes(b"the cat\n")
    command = ["rescore-nbest", tmp_path / "list", "--source", tmp_path / "src"]
    twice = [*command, "--checkpoint", world.forward, "--normalize", "list"]
    outcome = s2st(*twice)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("CRLF") == 1


def test_unknown_words_are_counted(generate):
    """Three of the four words, hence 75 %; a text that is known is not warned about."""
    outcome = generate(b"the zzz\nyyy xxx\n")
    assert outcome.err.count("75.0% of the words of the input are unknown to the model") == 1
    assert "unknown" not in generate(b"the the\nthe the\n").err


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.lists(st.sampled_from([b"\n", b"\r", b"the", b" "]) | st.binary(max_size=3)))
@example(data=[b"\xfe\xff"])
def test_any_bytes_keep_their_line_numbers(s2st, world, data):
    records = b"".join(data).split(b"\n")
    if records[-1] == b"":
        records.pop()
    options = ["--search", "greedy", "--encoding-errors", "replace"]
    stdin = b"".join(data)
    outcome = s2st("generate", "--checkpoint", world.forward, *SHORT, *options, stdin=stdin)
    if outcome.code:  # only UTF-16 and compressed text is refused
        outcome.check_error(65, "standard input")
        # marks of UTF-16; magic numbers of gzip, pack and compress
        assert b"\0" in stdin or stdin[:2] in (
            b"\xfe\xff", b"\xff\xfe", b"\x1f\x8b", b"\x1f\x9d", b"\x1f\xa0", b"\x1f\x1e",
        )  # fmt: skip
    else:
        assert outcome.data.count(b"\n") == len(records)
