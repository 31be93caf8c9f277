"""`--resume` of generate and score: the same bytes as one straight run, wherever it stopped."""

import gzip

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
    "mbr": ["--search", "mbr", "--candidates", "4"],
    "stochastic-beam": ["--search", "stochastic-beam", "--format", "json", "--nbest", "2"],
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


@pytest.fixture
def stopped(monkeypatch):
    """Runs a command until so many tasks are finished, then fails as on a full disk."""

    def run(command, tasks):
        from s2st.jobs.folder_queue import FolderQueue

        publish, count = FolderQueue.publish, iter(range(10**6))

        def failing(self, task, result):
            if next(count) == tasks:
                raise OSError(28, "No space left on device")
            publish(self, task, result)

        with monkeypatch.context() as patch:
            patch.setattr(FolderQueue, "publish", failing)
            outcome = command()
        assert outcome.code == 74, outcome.err

    return run


TASKS = 7  # 13 lines in chunks of 5, 5 and 3: batches of up to 2, and the empty lines of a chunk


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_run_stopped_after_any_task_goes_on_to_the_same_bytes(generate, stopped, tmp_path, form):
    out, parts = tmp_path / "out", tmp_path / "out.parts"
    assert generate(*FORMATS[form]).code == 0
    whole = out.read_bytes()
    assert not parts.exists()
    for tasks in range(TASKS):
        out.unlink()
        stopped(lambda: generate("--resume", *FORMATS[form]), tasks)
        assert parts.exists() == (tasks > 0)
        if out.exists():  # what is there is a beginning of the whole, in lines
            assert whole.startswith(out.read_bytes())
            assert out.read_bytes()[-1:] in (b"", b"\n")
        outcome = generate("--resume", *FORMATS[form])
        assert outcome.code == 0, outcome.err
        assert out.read_bytes() == whole
        assert outcome.data == b""
        assert not parts.exists()


def test_finished_tasks_are_not_computed_again(generate, stopped, source, monkeypatch):
    from s2st.search.beam import BeamSearch

    searched = []
    call = BeamSearch.__call__

    def counting(self, scorer, batch):
        searched.extend(batch.line_ids)
        return call(self, scorer, batch)

    monkeypatch.setattr(BeamSearch, "__call__", counting)
    words = [i for i, line in enumerate(source.read_text("utf-8").split("\n")[:-1]) if line]
    stopped(generate, 3)
    first = list(searched)
    assert generate("--resume").code == 0
    # one batch was computed, and could not be kept
    assert sorted(searched) == sorted([*words, *first[-2:]])


def test_score_goes_on_to_the_same_bytes_and_sums(s2st, world, stopped, tmp_path, monkeypatch):
    from s2st.data.batch_planner import BatchingConfig
    from s2st.jobs import pair_scoring_tasks

    monkeypatch.setattr(
        pair_scoring_tasks, "BATCHING", BatchingConfig(batch_size=4, max_tokens=100)
    )
    command = [
        "score", "--checkpoint", world.forward, "--source", world.folder / "train.en",
        "--target", world.folder / "train.fr", "--threads", "1", "--format", "json",
    ]  # fmt: skip
    straight = s2st(*command)
    assert straight.code == 0
    into = [*command, "-o", tmp_path / "out"]
    stopped(lambda: s2st(*into), 5)
    outcome = s2st(*into, "--resume")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out").read_bytes() == straight.data
    assert outcome.err.splitlines()[-1] == straight.err.splitlines()[-1]
    assert not (tmp_path / "out.parts").exists()
    s2st(*command, "--resume").check_error(2, "--resume", "--output-file")
    s2st("score", world.target, "--ref", world.target, "--resume").check_error(2, "--resume")


def test_another_run_is_refused_and_its_output_stays(generate, stopped, tmp_path, world, source):
    out = tmp_path / "out"
    stopped(generate, 4)
    theirs = out.read_bytes()
    generate("--resume", model=world.other).check_error(2, "out.parts", "differs in checkpoints")
    generate("--resume", "--lenpen", "1").check_error(2, "out.parts", "differs in --lenpen")
    (tmp_path / "changed").write_text(source.read_text().replace("the", "a"))
    changed = generate("--resume", text=tmp_path / "changed")
    changed.check_error(2, "out.parts", "differs in INPUT")
    assert out.read_bytes() == theirs
    assert generate("--resume").code == 0


def test_a_run_with_another_shortlist_is_refused(generate, stopped, tmp_path):
    lexicon = tmp_path / "lexicon"
    lexicon.write_text("is\test\t0.5\n")
    stopped(lambda: generate("--shortlist", lexicon), 4)
    generate("--resume").check_error(2, "out.parts", "differs in", "--shortlist")
    sized = generate("--resume", "--shortlist", lexicon, "--shortlist-best", 3)
    sized.check_error(2, "out.parts", "differs in --shortlist-best")
    lexicon.write_text("is\tpas\t0.5\n")
    generate("--resume", "--shortlist", lexicon).check_error(2, "differs in --shortlist")
    lexicon.write_text("is\test\t0.5\n")
    assert generate("--resume", "--shortlist", lexicon).code == 0


def test_without_resume_a_run_starts_anew_and_says_so(generate, stopped, tmp_path, world):
    straight = generate(model=world.other, output="-").data
    stopped(generate, 4)
    outcome = generate(model=world.other)
    assert outcome.code == 0
    assert "out.parts: results of a stopped run are removed; --resume would" in outcome.err
    assert (tmp_path / "out").read_bytes() == straight
    assert not (tmp_path / "out.parts").exists()


def test_runs_that_cannot_be_resumed(generate, tmp_path):
    generate("--resume", output="-").check_error(2, "--resume", "--output-file")
    generate("--resume", output="/dev/null").check_error(2, "--resume", "--output-file")
    generate("--resume", text="-").check_error(2, "--resume", "INPUT")


def test_compressed_output_goes_on_too(generate, stopped, tmp_path):
    out = tmp_path / "out.gz"
    assert generate(output=out).code == 0
    whole = gzip.decompress(out.read_bytes())
    stopped(lambda: generate(output=out), 4)
    assert generate("--resume", output=out).code == 0
    assert gzip.decompress(out.read_bytes()) == whole


def test_nothing_there_yet(generate, tmp_path):
    assert "nothing to resume" in generate("--resume").err
    whole = (tmp_path / "out").read_bytes()
    assert generate().code == 0
    assert (tmp_path / "out").read_bytes() == whole
