"""What `s2st demo` refuses; tests/system/test_examples.py runs the whole demo."""

import pytest


@pytest.mark.parametrize(
    ("option", "size", "message"),
    [
        ("--train-size", 20001, "--train-size plus twice --test-size: the demo corpus has 21,000"),
        ("--test-size", 501, "not 21,002"),
        ("--train-size", 0, "--train-size"),
        ("--test-size", -1, "--test-size"),
    ],
)
def test_sizes_that_the_corpus_does_not_have(s2st, tmp_path, option, size, message):
    folder = tmp_path / "demo"
    s2st("demo", "--dir", folder, option, size).check_error(2, message)
    assert not folder.exists()


def test_the_texts_are_the_shipped_pairs(s2st, tmp_path, monkeypatch):
    from s2st.demo_corpus import read_corpus
    from s2st.jobs import demo

    def stop(self, arguments):
        raise demo.S2STError(arguments)

    monkeypatch.setattr(demo._Demo, "call", stop)
    folder = tmp_path / "demo"
    s2st("demo", "--dir", folder, "--train-size", 7, "--test-size", 3).check_error(1, "preprocess")
    corpus = read_corpus(7, 3, 3)
    for name in ("train", "valid", "test"):
        for suffix, side in (("en", "source"), ("fr", "target")):
            lines = (folder / "data" / f"{name}.{suffix}").read_text("utf-8").splitlines()
            assert lines == [getattr(pair, side) for pair in getattr(corpus, name)]


def test_only_the_texts_are_written(s2st, tmp_path):
    folder = tmp_path / "demo"
    options = ["--train-size", 7, "--test-size", 3, "--only-data"]
    assert s2st("demo", "--dir", folder, *options).code == 0
    names = {f"{part}.{suffix}" for part in ("train", "valid", "test") for suffix in ("en", "fr")}
    assert [path.name for path in folder.iterdir()] == ["data"]
    lines = {path.name: len(path.read_text().splitlines()) for path in folder.glob("data/*")}
    assert lines == {name: 7 if name.startswith("train") else 3 for name in names}
