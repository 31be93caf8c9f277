"""Every numeric option has a stated finite range, and no number breaks a command.

Each option of each command and component is given numbers at, within and beyond its range. A run
ends well or with one clear line. Runs that are accepted work on very little.
"""

import math
from functools import cache

import pytest
from options_of import Parameter, parameters, without

from s2st.options.config import MOST_INTEGER, Range
from s2st_cli.click_options import Number

NUMERIC = [
    p for p in parameters() if (p.spec.numeric if p.spec else isinstance(p.parameter.type, Number))
]
EXTREMES = ("0", "-1", str(2**63 - 1), str(2**63), "1e308", "-1e308", "inf", "-inf", "nan")
# in range, but a run would take long or much memory: the names of options, and what is left out
TOO_LONG = {
    "max_len_a": ("1000",), "max_len_b": ("1000000",), "beam": ("100000",),
    "restarts": ("10000",), "directions": ("10000",), "mira_epochs": ("100000",),
    "samples": ("1000000",), "sampling_passes": ("100",), "update_freq": ("1000000",),
    "workers": ("256",), "threads": ("1024",), "max_epoch": ("1000000", "999999"),
    "nbest": ("100000",),
}  # fmt: skip


def limits_of(case: Parameter) -> Range:
    return case.spec.range if case.spec is not None else case.parameter.type.range


def kind_of(case: Parameter) -> type:
    return case.spec.kind if case.spec is not None else case.parameter.type.kind


@pytest.mark.parametrize("case", NUMERIC, ids=str)
def test_every_numeric_option_states_a_finite_range(case):
    limits = limits_of(case)
    assert limits.stated, f"{case}: give it a minimum and a maximum"
    assert limits.minimum < limits.maximum
    assert str(limits) in case.parameter.help
    default = case.spec.default if case.spec is not None else case.parameter.default
    if isinstance(default, int | float):
        assert limits.fault(default) is None


def values_of(case: Parameter) -> list[str]:
    """Extremes, and the ends of the range with their neighbours."""
    limits = limits_of(case)
    values = list(EXTREMES)
    for end in (limits.minimum, limits.maximum):
        if kind_of(case) is int:
            values += [str(int(end) + step) for step in (-1, 0, 1)]
        else:
            end = float(end)
            values += [repr(math.nextafter(end, -math.inf)), repr(end)]
            values.append(repr(math.nextafter(end, math.inf)))
    name = case.parameter.name
    return [v for v in dict.fromkeys(values) if v not in TOO_LONG.get(name, ())]


def test_as_many_options_as_ever_are_tried():
    assert len(NUMERIC) > 150
    assert sum(len(values_of(case)) for case in NUMERIC) > 2000


@pytest.fixture(scope="module")
def small(world, s2st, tmp_path_factory):
    """A command for each option that ends at once, whatever the option."""
    folder = tmp_path_factory.mktemp("ranges")
    (folder / "en").write_text("the cat .\na dog sees the cat .\n")
    (folder / "fr").write_text("le chat .\nun chien voit le chat .\n")
    lists = "".join(f"{i // 2} ||| le chat {i} . ||| A= {i} ||| {-i}\n" for i in range(4))
    (folder / "nbest").write_text(lists)
    (folder / "exists").mkdir()
    (folder / "exists" / "file").touch()
    scored = s2st(
        "rescore-nbest", folder / "nbest", "--source", folder / "en", "--checkpoint",
        world.forward, "--output", "nbest",
    )  # fmt: skip
    (folder / "scored").write_bytes(scored.data)

    def command(case: Parameter, out) -> list[str]:
        en, fr = str(folder / "en"), str(folder / "fr")
        texts = [f"a={fr}", f"b={en}", "--ref", fr]
        model = ["--checkpoint", str(world.forward), "--threads", "1"]
        name, parameter = case.words[0], case.parameter.name
        if name == "train":
            tiny = {
                "--layers": "1", "--hidden-size": "8", "--max-update": "1", "--batch-size": "50",
                "--threads": "1", "--patience": "1",
            }  # fmt: skip
            if case.spec is not None and parameter == "layers":
                tiny["--hidden-size"] = "1"
            own = [word for flag, v in tiny.items() if flag != case.flag for word in (flag, v)]
            return [str(world.store), "--save-dir", str(out / "model"), *own]
        if name == "preprocess":
            prefix = str(world.folder / "valid")
            return ["-s", "en", "-t", "fr", "--trainpref", prefix, "--destdir", str(out / "bin")]
        search = [] if parameter in ("max_len_a", "max_len_b") else ["--max-len-a", "0"]
        search += [] if parameter == "max_len_b" else ["--max-len-b", "3"]
        if "exhaustive" in case.words:
            search += ["--no-unk"]
        arguments = {
            "train-ngram": [en, fr, "-o", str(out / "lm.arpa"), "--discount-fallback"],
            "generate": [*model, "--format", "json", en, *search],
            "score": [*model, "--source", en, "--target", fr],
            "rescore-nbest": [
                str(folder / "scored"), "--source", en, "--tune", fr, "--folds", "2",
            ],
            "inspect": ["--nwordssrc", "9", "--nwordstgt", "9"],
            "average": [str(world.forward), "-o", str(out / "mean")],
            "compare": [*texts],
            "demo": ["--dir", str(folder / "exists")],
        }.get(name)  # fmt: skip
        if name == "average" and parameter == "last":
            arguments = [str(world.save_dir), "-o", str(out / "mean")]
        if name == "score" and parameter == "samples":
            arguments = [fr, en, "--ref", fr]
        if name == "rescore-nbest" and parameter in ("max_rows", "threads", "ensemble_weight"):
            arguments = [str(folder / "nbest"), "--source", en, *model]
        if name == "analyze":
            arguments = {
                "lengths": [*texts, "--source", en, "--samples", "3"],
                "rarity": [*texts, "--source", en, "--train-source", en, "--samples", "3"],
                "attention": [*model, "--source", en, *search],
                "states": [*model, en],
                "neighbours": ["--checkpoint", str(world.forward), "cat"],
            }[case.words[1]]
        return without(arguments, case.flag)

    return command


@cache
def _is_number(kind: type, text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("case", NUMERIC, ids=str)
def test_any_number_ends_well_or_with_one_clear_line(small, s2st, tmp_path, case):
    limits, kind = limits_of(case), kind_of(case)
    for number, value in enumerate(values_of(case)):
        out = tmp_path / str(number)
        out.mkdir()
        outcome = s2st(*case.words, *small(case, out), f"{case.flag}={value}")
        shown = f"{case} {value}: {outcome.err}"
        assert "internal error" not in outcome.err, shown
        assert "Traceback" not in outcome.err, shown
        errors = [line for line in outcome.err.splitlines() if line.startswith("s2st: error: ")]
        assert len(errors) == (outcome.code != 0), shown
        assert all(len(line) < 500 for line in errors), shown
        fits = _is_number(kind, value) and limits.fault(kind(value)) is None
        if not fits:
            assert outcome.code == 2, shown
            assert case.flag in errors[0], shown
        elif outcome.code == 0 and kind is float:
            assert "nan" not in outcome.out, shown


def test_config_files_are_held_to_the_same_ranges(s2st, world, tmp_path):
    path = tmp_path / "options.toml"
    for text in (
        "beam = 9223372036854775807", "lenpen = 1e308", "lenpen = inf", "lenpen = nan",
        "threads = 1_000_000_000_000", "max-len-a = 1e400", f"beam = 1{'0' * 5000}",
    ):  # fmt: skip
        path.write_text(f"{text}\n")
        outcome = s2st("generate", "--checkpoint", world.forward, "--config", path)
        outcome.check_error(2, str(path))
    ensemble = tmp_path / "ensemble.toml"
    for weight in ("1e308", "0.0", "-1.0", "inf", "nan", "0"):
        members = f'members = ["{world.forward}", "{world.reversed}"]\n'
        ensemble.write_text(f"{members}weights = [1.0, {weight}]\n")
        outcome = s2st("generate", "--checkpoint", ensemble, world.source)
        outcome.check_error(2, str(ensemble), "--weights")


@pytest.mark.parametrize("weight", ["1e308", "-1e308", "inf", "-inf", "1000000001"])
def test_weights_of_features_are_held_to_a_range(s2st, world, tmp_path, weight):
    lists, weights = tmp_path / "lists", tmp_path / "weights"
    lists.write_text("0 ||| le ||| A= 1 ||| -1\n")
    weights.write_text(f"[weight]\nA= 1 {weight}\n")
    command = ("rescore-nbest", lists, "--source", world.source, "--checkpoint", world.forward)
    s2st(*command, "--weight", f"A={weight}").check_error(2, "--weight A", "1000000000")
    s2st(*command, "--weights", weights).check_error(65, f"{weights}, line 2", "1000000000")
    both = ("--weight", "A=1", "--weight", "A=2")
    s2st(*command, *both).check_error(2, "--weight A", "given twice")
    assert s2st(*command, "--weight", "A=-1e9", "--weight", "S2ST0=1").code == 0
    assert MOST_INTEGER == 2**63 - 1


def test_what_no_memory_holds_is_one_line_before_the_work(s2st, world, tmp_path):
    """In range each, and too much together; torch printed its C++ stack."""
    for options in (
        ["--hidden-size", 100_000, "--layers", 1000],
        ["--arch", "transformer", "--hidden-size", 100_000, "--feedforward-size", 1_000_000],
    ):
        outcome = s2st("train", world.store, "--save-dir", tmp_path / "x", *options)
        outcome.check_error(1, "out of memory", "GiB", "lower --hidden-size")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kibibytes", [100_000, 300_000])
def test_too_little_room_for_the_libraries_is_one_line(shell, kibibytes):
    outcome = shell(f"ulimit -v {kibibytes}; exec python -m s2st_cli inspect x")
    outcome.check_error(1, "ulimit -v", "allow at least")
