"""`s2st generate --resume`: the same bytes as one straight run, wherever the first one stopped."""

import pytest

CHUNK = 5
SHORT = [
    "--max-len-a", "0", "--max-len-b", "6", "--threads", "1", "--buffer-size", str(CHUNK),
    "--batch-size", "2",
]  # fmt: skip
FORMATS = {
    "text": [],
    "moses": ["--format", "moses", "--nbest", "3"],
    "json": ["--format", "json", "--nbest", "2"],
    "sampling": ["--search", "sampling"],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory, world):
    """13 lines, three of them empty: chunks of 5, 5 and 3."""
    lines = world.source.read_text("utf-8").split("\n")[:10]
    lines[3:3] = [""]
    lines[9:9] = ["", ""]
    path = tmp_path_factory.mktemp("resume") / "source"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def generate(s2st, world, source, tmp_path):
    def run(*options, model=world.forward, output=tmp_path / "out", text=source):
        return s2st("generate", "--checkpoint", model, *SHORT, *options, text, "-o", output)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_cut_anywhere_is_gone_on_with_to_the_same_bytes(generate, tmp_path, form):
    out = tmp_path / "out"
    assert generate(*FORMATS[form]).code == 0
    whole = out.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    cuts = {0, 1, len(whole) - 1, *ends, *(end - 2 for end in ends)}
    for cut in sorted(cuts):
        out.write_bytes(whole[:cut])
        outcome = generate("--resume", *FORMATS[form])
        assert outcome.code == 0, outcome.err
        assert out.read_bytes() == whole, cut
        assert outcome.data == b""


def test_what_was_written_is_not_translated_again(generate, tmp_path, source, monkeypatch):
    from s2st.search.beam import BeamSearch

    searched = []
    call = BeamSearch.__call__

    def counting(self, scorer, batch):
        searched.extend(batch.line_ids)
        return call(self, scorer, batch)

    monkeypatch.setattr(BeamSearch, "__call__", counting)
    assert generate().code == 0
    words = [i for i, line in enumerate(source.read_text("utf-8").split("\n")[:-1]) if line]
    assert sorted(searched) == words
    lines = (tmp_path / "out").read_bytes().split(b"\n")
    for count in range(len(lines)):
        searched.clear()
        (tmp_path / "out").write_bytes(b"".join(line + b"\n" for line in lines[:count]))
        assert generate("--resume").code == 0
        # nothing of the chunks before the last line's; of a chunk that is done one batch of two
        chunk = max(0, count - 1) // CHUNK * CHUNK
        assert min(searched, default=chunk) >= chunk
        assert count % CHUNK or sum(i < count for i in searched) <= 2
        assert set(searched) >= {i for i in words if i >= count}


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_another_run_is_refused_and_stays(generate, tmp_path, world, form):
    options = FORMATS[form]
    out = tmp_path / "out"
    assert generate(*options, model=world.other).code == 0
    theirs = out.read_bytes()
    out.write_bytes(theirs + b"torn")
    outcome = generate("--resume", *options)
    outcome.check_error(65, str(out), "input line ", "--resume")
    assert out.read_bytes() == theirs + b"torn"


def test_a_changed_line_is_named(generate, tmp_path):
    out = tmp_path / "out"
    assert generate().code == 0
    lines = out.read_bytes().split(b"\n")
    lines[11] += b"x"
    out.write_bytes(b"\n".join(lines))
    generate("--resume").check_error(65, str(out), "input line 12 ")


def test_a_file_longer_than_the_input_is_refused(generate, tmp_path, source):
    out = tmp_path / "out"
    assert generate().code == 0
    long = out.read_bytes() + b"\n"
    out.write_bytes(long)
    generate("--resume").check_error(65, str(out), "14 input lines")
    assert out.read_bytes() == long


def test_lists_that_do_not_count_up_are_refused(generate, tmp_path):
    out = tmp_path / "out"
    assert generate(*FORMATS["moses"]).code == 0
    lines = out.read_bytes().split(b"\n")
    for bad, line in (([b"words", *lines[1:]], 1), ([lines[0], b"2 ||| x", *lines[1:]], 2)):
        out.write_bytes(b"\n".join(bad))
        generate("--resume", *FORMATS["moses"]).check_error(65, f"{out}, line {line}: ")


def test_what_cannot_be_gone_on_with(generate, tmp_path):
    generate("--resume", output="-").check_error(2, "--resume", "--output-file")
    generate("--resume", output="/dev/null").check_error(2, "--resume", "--output-file")
    generate("--resume", output=tmp_path / "x.gz").check_error(2, ".gz")
    generate("--resume", text="-").check_error(2, "--resume", "INPUT")


def test_nothing_there_yet(generate, tmp_path):
    assert generate("--resume").code == 0
    whole = (tmp_path / "out").read_bytes()
    assert generate().code == 0
    assert (tmp_path / "out").read_bytes() == whole
