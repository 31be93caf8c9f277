"""Every numeric option has a stated finite range, and no number breaks a command.

Each option of each command and component is given numbers at, within and beyond its range. A run
ends well or with one clear line. Runs that are accepted work on very little.
"""

import math
from pathlib import Path

import pytest
from options_of import Parameter, parameters, without

from s2st.options.option_fields import MAX_INTEGER, Range
from s2st.text.tokenizers import MODEL_KINDS
from s2st_cli.number_options import Number

NUMERIC = [
    p for p in parameters() if (p.spec.numeric if p.spec else isinstance(p.parameter.type, Number))
]
EXTREMES = ("0", "-1", str(2**63 - 1), str(2**63), "1e308", "-1e308", "inf", "-inf", "nan")
# whose greatest values fit, and would take long or much memory
LONG = {
    "max_len_a", "max_len_b", "beam", "nbest", "restarts", "directions", "mira_epochs", "samples",
    "sampling_passes", "update_freq", "workers", "threads", "max_update",
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
    # of sizes `train` tries the least ones, and `inspect`, which makes no weights, all
    trained = case.words[0] == "train" and "--arch" in case.words
    if trained or case.parameter.name in LONG:
        most = limits.maximum * 0.9
        values = [v for v in values if limits.fault(_number(v)) or _number(v) < most]
    return list(dict.fromkeys(values))


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def test_as_many_options_as_ever_are_tried():
    assert len(NUMERIC) > 150
    assert sum(len(values_of(case)) for case in NUMERIC) > 2000


TINY_ARPA = """\\data\\
ngram 1=4

\\1-grams:
-0.3 </s>
-99 <s>
-0.6 the
-0.6 <unk>

\\end\\
"""
TINY = {
    "--layers": "1", "--hidden-size": "8", "--max-update": "1", "--batch-size": "50",
    "--threads": "1", "--patience": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def small(world, s2st, tmp_path_factory):
    """The rest of a command line for each option: with it a run ends at once."""
    folder = tmp_path_factory.mktemp("ranges")
    en, fr, equal = (str(folder / name) for name in ("text.en", "text.fr", "equal"))
    for path, source in ((en, world.source), (fr, world.target)):
        lines = source.read_text("utf-8").splitlines(keepends=True)[:4]
        Path(path).write_text("".join(lines), "utf-8")
    for language, word in (("en", "cat"), ("fr", "chat")):
        Path(f"{equal}.{language}").write_text("".join(f"{word} .\n" * 3))
    lists = "".join(f"{i // 2} ||| le chat {i} . ||| A= {i} ||| {-i}\n" for i in range(8))
    (folder / "nbest").write_text(lists)
    (folder / "tiny.arpa").write_text(TINY_ARPA)
    (folder / "exists").mkdir()
    (folder / "exists" / "file").touch()

    def made(*words) -> bytes:
        outcome = s2st(*words)
        assert outcome.code == 0, outcome.err
        return outcome.data

    aligned, attention = str(folder / "aligned"), str(folder / "attention")
    made("preprocess", "-s", "en", "-t", "fr", "--trainpref", equal, "--destdir", aligned)
    tiny = [word for pair in TINY.items() for word in pair]
    made("train", world.store, *tiny, "--arch", "lstm-attention", "--save-dir", attention)
    made("train-lexicon", world.store, "-o", folder / "lexicon")
    guided = ["--arch", "lstm-attention", "--alignment-lexicon", f"{folder}/lexicon"]
    model = ["--checkpoint", str(world.forward), "--threads", "1"]
    nbest = [str(folder / "nbest"), "--source", en]
    scored = made("rescore-nbest", *nbest, *model, "--format", "nbest")
    (folder / "scored").write_bytes(scored)
    word = world.source.read_text("utf-8").split()[0]

    def command(case: Parameter, out: Path) -> list[str]:
        name, parameter = case.words[0], case.parameter.name
        texts = [f"a={fr}", f"b={en}", "--ref", fr]
        own = model
        search = [] if parameter == "max_len_a" else ["--max-len-a", "0"]
        search += [] if parameter == "max_len_b" else ["--max-len-b", "2"]
        if "exhaustive" in case.words:
            own = ["--checkpoint", str(folder / "tiny.arpa")]
        store = aligned if "aligned-rnn" in case.words else str(world.store)
        buckets = [*texts, "--source", en, "--samples", "3", "--buckets", "2"]
        mapped = ["--checkpoint", f"{attention}/checkpoint_best", "--source", en, "--threads", "1"]
        commands = {
            "train": [store, "--save-dir", str(out / "model"), *tiny],
            "preprocess": ["-s", "en", "-t", "fr", "--trainpref", f"{folder}/text", "--destdir",
                           str(out / "bin")],
            "train-ngram": [en, fr, "-o", str(out / "lm.arpa"), "--discount-fallback"],
            "train-lexicon": [store, "-o", str(out / "lex")],
            "generate": [*own, "--format", "json", en, *search],
            "check": [en, fr],
            "tune-length": [*model, "--source", en, "--ref", fr, *search],
            "score": [*model, "--source", en, "--target", fr],
            "rescore-nbest": [str(folder / "scored"), "--source", en, "--tune", fr, "--folds", "2"],
            "inspect": ["--nwordssrc", "9", "--nwordstgt", "9"],
            "average": [str(world.forward), "-o", str(out / "mean")],
            "compare": texts,
            "serve": [*model, "--host", "192.0.2.1"],  # of no machine: RFC 5737
            "explain": [word, *model, *search, "-o", str(out / "page.html")],
            "demo": ["--dir", str(folder / "exists")],
            "lengths": buckets,
            "rarity": [*buckets, "--train-source", en],
            "attention": [*mapped, *search],
            "gradients": [str(world.forward), "--source", en, "--target", fr, "--threads", "1"],
            "states": [*model, en],
            "vectors": [*model, en],
            "neighbors": ["--checkpoint", str(world.forward), word],
        }  # fmt: skip
        words = commands[case.words[1] if name in ("analyze", "import") else name]
        if "guided-alignment" in case.words:
            words = [*words, *guided]
        if (name, parameter) == ("average", "last"):
            words = [str(world.folder / "forward"), "-o", str(out / "mean")]
        if (name, parameter) == ("score", "samples"):
            words = [fr, en, "--ref", fr]
        if (name, parameter) == ("score", "next_words"):
            words = [*model, "--source", en, "--next", word]
        if (name, parameter) == ("train-ngram", "add_k"):
            words = [*words[:-1], "--smoothing", "add-k"]
        if name == "rescore-nbest" and parameter in ("max_rows", "threads"):
            words = [*nbest, *model]
        if name == "preprocess" and "sentencepiece" in case.words:
            words = [*words, "--sentencepiece-vocab-size", "40"]
        return without(words, case.flag)

    return command


def _is_number(kind: type, text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _ends_well(case: Parameter) -> bool:
    """Whether a run without the option ends with 0.

    `demo` takes minutes, and here ends because its folder exists. `serve` ends with the address of
    another machine. `train-ngram` takes a tokenizer
    with a trained model with a dictionary only. An exhaustive search gives no attention.
    """
    if case.words[:2] == ("analyze", "attention"):
        return "exhaustive" not in case.words
    return case.words[0] not in ("demo", "serve") and not (
        case.words[0] == "train-ngram" and {*case.words} & {*MODEL_KINDS}
    )


TRIED = [case for case in NUMERIC if _ends_well(case)]


@pytest.mark.extensive
@pytest.mark.parametrize("case", TRIED, ids=str)
def test_the_command_ends_well_without_the_option(small, s2st, tmp_path, case):
    """So that what is tried below is the number, and nothing else."""
    words = (*case.words, *small(case, tmp_path))
    if case.flag in ("--max-update", "--nwordssrc", "--nwordstgt", "--last", "--buckets"):
        words += (f"{case.flag}=1",)
    outcome = s2st(*words)
    assert outcome.code == 0, outcome.err


@pytest.mark.extensive  # minutes: every option by every value, on tiny data
@pytest.mark.parametrize("case", NUMERIC, ids=str)
def test_any_number_ends_well_or_with_one_clear_line(small, s2st, tmp_path, case, record_property):
    limits, kind, values = limits_of(case), kind_of(case), values_of(case)
    record_property("runs", len(values))  # for tests/torture/extremes.py
    for number, value in enumerate(values):
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


@pytest.mark.parametrize("weight", ["1e308", "-1e308", "inf", "-inf", "1.1e30"])
def test_weights_of_features_are_held_to_a_range(s2st, world, tmp_path, weight):
    lists, weights = tmp_path / "lists", tmp_path / "weights"
    lists.write_text("0 ||| le ||| A= 1 ||| -1\n")
    weights.write_text(f"[weight]\nA= 1 {weight}\n")
    command = ("rescore-nbest", lists, "--source", world.source, "--checkpoint", world.forward)
    s2st(*command, "--weight", f"A={weight}").check_error(2, "--weight A", "1e+30")
    s2st(*command, "--weights", weights).check_error(65, f"{weights}, line 2", "1e+30")
    both = ("--weight", "A=1", "--weight", "A=2")
    s2st(*command, *both).check_error(2, "--weight A", "given twice")
    assert s2st(*command, "--weight", "A=-1e30", "--weight", "S2ST0=1").code == 0
    assert MAX_INTEGER == 2**63 - 1


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
