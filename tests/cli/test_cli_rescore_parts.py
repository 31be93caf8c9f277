"""`s2st rescore-nbest --resume` and `--shard`: the same bytes as one straight run."""

import json
import random

import pytest

WORDS = ["le", "la", "un", "une", "chat", "chien", "homme", "femme", "dort", "lit", "."]
SOURCES = 150  # more than two blocks of 64


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """Lists of 0 to 4 hypotheses for 150 sources."""
    folder = tmp_path_factory.mktemp("lists")
    draw = random.Random(1)
    source = ["the " + draw.choice(["cat", "dog", "man"]) for _ in range(SOURCES)]
    lines = []
    for i in range(SOURCES):
        for _ in range(draw.randrange(5)):
            words = " ".join(draw.choices(WORDS, k=draw.randrange(6)))
            lines.append(f"{i} ||| {words} ||| LM0= {draw.random():.3f} ||| {-draw.random():.4f}")
    (folder / "src").write_text("".join(f"{line}\n" for line in source))
    (folder / "ref").write_text("".join(f"le {line.split()[1]} dort .\n" for line in source))
    (folder / "nbest").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.fixture
def rescore(s2st, world, lists):
    def run(*options, nbest="nbest", model=world.forward):
        if "--max-rows" not in options:
            options = ("--max-rows", "64", *options)
        return s2st(
            "rescore-nbest", nbest if nbest == "-" else lists / nbest, "--source", lists / "src",
            "--checkpoint", model, "--threads", "1", *options,
        )  # fmt: skip

    return run


@pytest.fixture
def stopped(rescore, tmp_path, monkeypatch):
    """Runs a job with an output file until so many groups are scored, then fails."""

    def run(groups, *options):
        from s2st.jobs.folder_queue import FolderQueue

        publish, count = FolderQueue.publish, iter(range(10**6))

        def failing(self, task, result):
            if next(count) == groups:
                raise OSError(28, "No space left on device")
            publish(self, task, result)

        with monkeypatch.context() as patch:
            patch.setattr(FolderQueue, "publish", failing)
            outcome = rescore("-o", tmp_path / "out", *options)
        assert outcome.code == 74, outcome.err
        assert (tmp_path / "out.parts").exists() == (groups > 0)

    return run


MODES = {
    "1best": (),
    "nbest": ("--format", "nbest"),
    "words": ("--format", "words"),
    "two passes": ("--normalize", "list", "--format", "nbest"),
    "tuned": ("--tune", "REF", "--folds", "2"),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_stopped_run_goes_on_to_the_same_bytes(rescore, stopped, lists, tmp_path, mode):
    options = [str(lists / "ref") if option == "REF" else option for option in MODES[mode]]
    straight = rescore(*options)
    assert straight.code == 0, straight.err
    for groups in (0, 1, 3):
        stopped(groups, *options)
        again = rescore("-o", tmp_path / "out", "--resume", *options)
        assert again.code == 0, again.err
        assert (tmp_path / "out").read_bytes() == straight.data
        assert not (tmp_path / "out.parts").exists()
        assert again.data == b""
        assert ("scores of" in again.err) == (groups > 0)


def test_damaged_groups_are_scored_again(rescore, stopped, tmp_path, monkeypatch):
    from s2st.jobs.rescore.list_scorer import ListScorer

    straight = rescore("--format", "words").data
    scored = []
    scores = ListScorer._scores

    def counting(self, lists):
        scored.append(len(lists))
        return scores(self, lists)

    monkeypatch.setattr(ListScorer, "_scores", counting)
    assert rescore("--format", "words").data == straight
    groups = len(scored)
    for damaged in (0, 1, 4):
        stopped(4, "--format", "words")
        kept = sorted(path for path in (tmp_path / "out.parts").iterdir() if "+" in path.name)
        assert len(kept) == 4
        for path in kept[:damaged]:
            path.write_bytes(path.read_bytes()[:-1])
        scored.clear()
        outcome = rescore("-o", tmp_path / "out", "--resume", "--format", "words")
        assert outcome.code == 0, outcome.err
        assert (tmp_path / "out").read_bytes() == straight
        assert len(scored) == groups - 4 + damaged


def test_the_scores_of_another_run_are_refused(rescore, stopped, lists, tmp_path, world):
    stopped(1)
    (lists / "other").write_text((lists / "nbest").read_text().replace("chat", "chien"))
    output = ("-o", tmp_path / "out", "--resume")
    rescore(*output, nbest="other").check_error(2, "out.parts", "differs in NBEST")
    rescore(*output, model=world.reversed).check_error(2, "out.parts", "differs in checkpoints")
    rescore(*output, "--max-rows", "9").check_error(2, "out.parts", "differs in --max-rows")
    rescore(*output, "--shard", "1/2").check_error(2, "out.parts", "differs in --shard")
    fresh = rescore("-o", tmp_path / "out")
    assert fresh.code == 0
    assert "--resume would have used them" in fresh.err
    assert not (tmp_path / "out.parts").exists()


def test_other_weights_take_the_scores_of_a_stopped_run(rescore, stopped, lists, tmp_path):
    """Weights and references are no part of what the scores depend on."""
    tuned = ("--tune", lists / "ref", "--folds", "2")
    straight = rescore(*tuned)
    stopped(3)
    again = rescore("-o", tmp_path / "out", "--resume", *tuned)
    assert again.code == 0, again.err
    assert (tmp_path / "out").read_bytes() == straight.data
    assert "scores of" in again.err


def test_a_file_that_is_called_as_the_journal_once_was_stays(rescore, tmp_path):
    (tmp_path / "out.scores").write_text("notes")
    assert rescore("-o", tmp_path / "out").code == 0
    assert (tmp_path / "out.scores").read_text() == "notes"


def test_resume_needs_a_file(rescore):
    rescore("--resume").check_error(2, "--resume", "--output-file")
    rescore("--resume", "-o", "/dev/null").check_error(2, "--resume", "--output-file")
    rescore("--resume", "-o", "out", nbest="-").check_error(2, "--resume", "NBEST")


def test_a_folder_that_cannot_be_written_is_found_before_scoring(rescore, tmp_path):
    rescore("-o", tmp_path / "missing" / "out").check_error(74, "missing")


@pytest.mark.parametrize("mode", ["1best", "nbest", "words"])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_joined_are_the_whole(rescore, mode, parts):
    """Seven parts of three blocks: some are empty."""
    whole = rescore(*MODES[mode])
    joined = b""
    for part in range(1, parts + 1):
        outcome = rescore(*MODES[mode], "--shard", f"{part}/{parts}")
        assert outcome.code == 0, outcome.err
        joined += outcome.data
    assert joined == whole.data


def test_shards_of_a_tuned_run(rescore, lists):
    """Weights learned on development lists do not depend on the shard."""
    tuned = (
        "--tune", lists / "ref", "--dev-nbest", lists / "nbest", "--dev-source", lists / "src",
        "--folds", "2",
    )  # fmt: skip
    whole = rescore(*tuned)
    parts = [rescore(*tuned, "--shard", f"{part}/2") for part in (1, 2)]
    assert b"".join(part.data for part in parts) == whole.data


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "1/2/3", "-1/2"])
def test_bad_shards(rescore, shard):
    rescore("--shard", shard).check_error(2, "--shard", "I/N")


def test_what_needs_all_lists_cannot_be_sharded(rescore, lists):
    for options in (
        ("--normalize", "list"),
        ("--tune", lists / "ref"),
        ("--oracle", lists / "ref"),
    ):
        rescore("--shard", "1/2", *options).check_error(2, "--shard", "that need all lists")


def test_the_last_shard_finds_ids_that_no_source_line_has(rescore, lists):
    (lists / "late").write_text((lists / "nbest").read_text() + "150 ||| le ||| ||| -1\n")
    first, last = (rescore("--shard", f"{part}/2", nbest="late") for part in (1, 2))
    assert first.code == 0
    assert last.code == 65
    assert "late, line" in last.err
    assert "id 150" in last.err


def test_int8_changes_little(rescore):
    plain, int8 = (
        [json.loads(line) for line in rescore("--format", "words", "--precision", p).lines]
        for p in ("float32", "int8")
    )
    assert [record["id"] for record in plain] == [record["id"] for record in int8]
    found = {(r["id"], r["hypothesis"]): r["token_log_probs"]["S2ST0"] for r in int8}
    worst = 0.0
    for record in plain:
        mine = record["token_log_probs"]["S2ST0"]
        its = found[record["id"], record["hypothesis"]]
        worst = max(worst, *(abs(a - b) for a, b in zip(mine, its, strict=True)))
    assert 0 < worst < 0.5
