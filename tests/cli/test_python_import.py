"""The Python interface: what it promises, what it imports, wrong arguments, and silence."""

import inspect
import json
import os
import subprocess
import sys
import typing

import numpy as np
import pytest

import s2st as library
from s2st import errors

HEAVY = {"torch", "numpy", "sacrebleu", "sentencepiece", "safetensors", "click", "rich"}


def run_code(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
        check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_import_is_quick_and_torch_loads_with_the_first_model(world):
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        "import s2st\n"
        "first = sorted(set(sys.modules) - before)\n"
        "s2st.load, s2st.train, s2st.preprocess, s2st.Model, s2st.UsageError, dir(s2st)\n"
        "second = sorted(sys.modules)\n"
        "model = s2st.load(sys.argv[1])\n"
        "print(json.dumps([first, second, 'torch' in sys.modules]))\n"
    )
    done = run_code(code, world.forward)
    first, second, loaded = json.loads(done.stdout)
    own = [name for name in first if name.startswith("s2st")]
    assert own == ["s2st"]
    assert len(first) < 60  # importlib and logging of the standard library
    assert not HEAVY & set(first)
    assert not {"torch", "click", "rich", "sacrebleu"} & set(second)
    assert loaded
    assert done.stderr == ""


def test_every_promised_name_exists_and_is_documented():
    assert sorted(library._HOMES) == sorted(set(library.__all__) - {"__version__"})
    for name in library.__all__:
        value = getattr(library, name)
        assert name == "__version__" or inspect.getdoc(value), name
    assert set(library.__all__) <= set(dir(library))
    with pytest.raises(AttributeError, match="module 's2st' has no attribute 'lode'"):
        library.lode  # noqa: B018


def test_every_error_class_is_promised_with_its_base():
    kinds = {
        name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.S2STError)
    }  # fmt: skip
    # signals do not reach a library, whose program has its own handlers
    assert kinds - {"InterruptedBySignalError"} == {
        name for name in library.__all__ if name.endswith("Error")
    }
    assert issubclass(library.ConfigError, library.UsageError)
    assert issubclass(library.CheckpointError, library.DataError)


def test_annotations_are_complete():
    public = [getattr(library, name) for name in library.__all__ if name != "__version__"]
    functions = [value for value in public if inspect.isfunction(value)]
    functions += [
        method for name, method in inspect.getmembers(library.Model, inspect.isfunction)
        if not name.startswith("_")
    ]  # fmt: skip
    assert len(functions) > 10
    for function in functions:
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function
        for name, parameter in signature.parameters.items():
            annotated = parameter.annotation is not inspect.Parameter.empty
            assert annotated or name == "self", (function, name)
    assert typing.get_type_hints(library.PairScore)["log_prob"] is float


@pytest.mark.slow
def test_nothing_is_printed_unless_logging_is_asked_for(world):
    code = (
        "import logging, sys\n"
        "import s2st\n"
        "if sys.argv[2] == 'loud':\n"
        "    logging.basicConfig(format='%(levelname)s %(message)s')\n"
        "model = s2st.load(sys.argv[1], threads=1)\n"
        "model.translate(['xyz zyx yzx'] * 20, max_len_a=0, max_len_b=3)\n"
    )
    quiet, loud = (run_code(code, world.forward, word) for word in ("quiet", "loud"))
    assert quiet.stdout == quiet.stderr == loud.stdout == ""
    assert loud.stderr.startswith("WARNING")
    assert "the input" in loud.stderr


@pytest.fixture(scope="module")
def model(world):
    return library.load(world.forward, threads=1)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m: m.translate("the cat"), "UsageError", "lines must be a list of lines, not one"),
        (lambda m: m.translate(b"cat"), "UsageError", "lines must be a list of lines, not bytes"),
        (lambda m: m.translate(3), "UsageError", "lines must be a list of lines, not 3"),
        (lambda m: m.translate(None), "UsageError", "lines must be a list of lines, not None"),
        (lambda m: m.translate(["a", 3]), "UsageError", "lines, line 2: a line must be text (str)"),
        (lambda m: m.translate([["a"]]), "UsageError", "lines, line 1: a line must be text (str)"),
        (lambda m: m.translate(["a\nb"]), "DataError", "lines, line 1: contains a line break"),
        (lambda m: m.translate(["\ud800"]), "DataError", "lines, line 1: contains a surrogate"),
        (lambda m: m.translate(["a"], beem=3), "ConfigError", "did you mean beam?"),
        (lambda m: m.translate(["a"], max_len=3), "ConfigError", "unknown option 'max_len'"),
        (lambda m: m.translate(["a"], beam="3"), "ConfigError", "--beam takes a whole number"),
        (lambda m: m.translate(["a"], beam=True), "ConfigError", "--beam takes a whole number"),
        (lambda m: m.translate(["a"], beam=0), "ConfigError", "the minimum is 1"),
        (lambda m: m.translate(["a"], beam=[2]), "ConfigError", "--beam takes a whole number"),
        (lambda m: m.translate(["a"], nbest=2), "UsageError", "call Model.nbest"),
        (lambda m: m.translate(["a"], top_k=2), "ConfigError", "'top_k' belongs to search"),
        (lambda m: m.translate(["a"], search="beams"), "UsageError", "did you mean beam"),
        (lambda m: m.translate(["a"], format="json"), "ConfigError", "command line only"),
        (lambda m: m.translate(["a"], replace_unk=True), "UsageError", "a model with attention"),
        (lambda m: m.translate(["a"], unk_dictionary="x"), "UsageError", "needs --replace-unk"),
        (lambda m: m.translate(["a"], prefix="le"), "UsageError", "prefix must be a list of lines"),
        (
            lambda m: m.translate(["a"], constraints=["le"]), "UsageError",
            "constraints, line 1 must be a list of phrases, not 'le'",
        ),
        (lambda m: m.translate(["a"], constraints="le"), "UsageError", "phrases for each line"),
        (lambda m: m.translate({"a"}), "UsageError", "lines must be a list of lines, not a set"),
        (lambda m: m.translate({"a": 1}), "UsageError", "must be a list of lines, not a dict"),
        (lambda m: m.score(["a"], {"b"}), "UsageError", "targets must be a list of lines"),
        (lambda m: m.translate(np.array("a")), "UsageError", "lines must be a list of lines, not"),
        (lambda m: m.translate(["a"], no_unk=True), "ConfigError", "'no_unk'; write unk=False"),
        (lambda m: m.rescore(["a"], [["b"]], weights=[1]), "UsageError", "weights must be a mapp"),
        (lambda m: m.nbest(["a"], 3, beam=2), "UsageError", "use --beam 3"),
        (lambda m: m.nbest(["a"], "3"), "ConfigError", "--nbest takes a whole number"),
        (lambda m: m.nbest(["a"], 0), "ConfigError", "the minimum is 1"),
        (lambda m: m.sample(["a"], search="beam"), "UsageError", "call Model.nbest"),
        (lambda m: m.score("a", "b"), "UsageError", "sources must be a list of lines"),
        (lambda m: m.score(["a"], "b"), "UsageError", "targets must be a list of lines"),
        (lambda m: m.sentence_vectors("a"), "UsageError", "lines must be a list of lines"),
        (lambda m: m.sentence_vectors(["a"], 3), "UsageError", "part must be the name"),
        (lambda m: m.attention(["a"]), "UsageError", "the model has no attention"),
        (lambda m: library.principal_components("abc"), "UsageError", "a matrix of numbers"),
        (lambda m: library.principal_components([1.0]), "UsageError", "shape (1,)"),
        (
            lambda m: library.principal_components([[1.0, 2.0], [3.0, np.nan]]), "UsageError",
            "vectors, row 2: a number is not finite",
        ),
        (lambda m: library.train("x" * 300), "InputMissingError", "too long"),
        (lambda m: library.train("a\0b"), "UsageError", "a path of text"),
        (lambda m: library.write_demo_corpus("x", 10**6), "UsageError", "21,000 pairs"),
        (lambda m: library.write_demo_corpus("x", 5, -1), "UsageError", "valid_size must be"),
        (lambda m: library.write_demo_corpus("x", "5"), "UsageError", "must be a whole number"),
        (lambda m: library.write_demo_corpus("/proc/x"), "OutputError", "/proc/x"),
        (lambda m: library.load("no/model"), "InputMissingError", "no/model"),
        (lambda m: library.load(__file__), "CheckpointError", "test_python_import.py"),
        (lambda m: library.load(3), "UsageError", "paths must be a path or a list of paths"),
        (lambda m: library.load([]), "UsageError", "at least one path"),
        (lambda m: library.load(""), "UsageError", "paths must be a path of text"),
        (lambda m: library.load([b"x"]), "UsageError", "paths, item 1 must be a path"),
        (lambda m: library.load(m.paths, device="gpu"), "ConfigError", "choose from auto, cpu"),
        (lambda m: library.load(m.paths, precision="half"), "ConfigError", "choose from float32"),
        (lambda m: library.load(m.paths, threads=0), "ConfigError", "the minimum is 1"),
        (lambda m: library.load(m.paths, ensemble_weight=[1, 2]), "UsageError", "2 ensemble"),
        (lambda m: library.load(m.paths, ensemble_mode="mean"), "ConfigError", "choose from"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_clear_error(model, call, kind, message):
    with pytest.raises(library.S2STError) as caught:
        call(model)
    assert type(caught.value).__name__ == kind
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_of_options_made_by_hand_is_checked(tmp_path):
    from s2st.data.preprocess_options import PreprocessConfig, checked

    config = PreprocessConfig(source_lang="en", target_lang="fr", trainpref="train")
    with pytest.raises(library.ConfigError, match="--trainpref takes a list, not 'train'"):
        checked(config)


def test_arrays_of_text_are_lines(model):
    # a column of a table comes as such an array
    lines = ["the cat sleeps .", "a dog"]
    for kind in ("str", "object"):
        array = np.array(lines, dtype=kind)
        assert model.translate(array, max_len_a=0, max_len_b=4) == model.translate(
            lines, max_len_a=0, max_len_b=4
        )


def test_one_vector_is_at_the_origin_of_its_components():
    # one point has no variance; two points lie on one line, at half their distance (5) on each side
    places, shares = library.principal_components([[3.0, 4.0]])
    assert (places.tolist(), shares) == ([[0.0, 0.0]], (0.0, 0.0))
    places, shares = library.principal_components([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(abs(places[:, 0]), [2.5, 2.5])
    np.testing.assert_allclose(places[:, 1], [0, 0], atol=1e-12)
    assert shares == pytest.approx((1.0, 0.0))
