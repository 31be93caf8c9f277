"""Commands under torchrun: the same bytes as one process, also after a rank is killed.

Most runs here are forks of this process, which know their rank from torchrun's variables as under
torchrun itself: they start at once. Torchrun does the rest.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ports import free_port

SECONDS = 100  # longer, and a test would rather fail than wait
SHORT = ["--max-len-a", "0", "--max-len-b", "6", "--threads", "1"]
WORDS = ["le", "la", "un", "une", "chat", "chien", "homme", "femme", "dort", "lit", "."]
LISTS = 150  # more than two blocks of 64


@pytest.fixture
def forked(s2st, tmp_path):
    """Runs `s2st ARGUMENTS` in forks with ranks 0, 1, ...; what each wrote to stderr."""

    def run(count: int, *arguments: object, codes: tuple[int, ...] = ()) -> list[str]:
        torchrun = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
        }
        children = []
        for rank in range(count):
            child = os.fork()
            if not child:
                ended = 99
                try:
                    os.environ |= {**torchrun, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                    outcome = s2st(*arguments)
                    (tmp_path / f"rank-{rank}").write_text(outcome.err)
                    ended = outcome.code
                finally:
                    os._exit(ended)
            children.append(child)
        assert wait(children) == list(codes or [0] * count), errors(tmp_path)
        return errors(tmp_path)

    return run


def wait(children: list[int]) -> list[int]:
    """The exit codes of processes, which are killed if they need too long."""
    codes: dict[int, int] = {}
    end = time.monotonic() + SECONDS
    while len(codes) < len(children):
        for child in set(children) - set(codes):
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return [codes[child] for child in children]


def errors(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("rank-*"))]


def torchrun(count: int, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m torch.distributed.run ARGUMENTS` with so many processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node", str(count), *map(str, arguments)],
        capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(world, tmp_path_factory) -> Path:
    """Lines of many lengths, some empty or of blanks, one of 600 words."""
    draw = random.Random(4)
    lines = world.source.read_text().splitlines() * 3 + ["", "   ", "the cat " * 300, ""]
    lines += [
        " ".join(draw.choices(["the", "dog", "unseen"], k=draw.randrange(30))) for _ in "." * 40
    ]
    draw.shuffle(lines)
    path = tmp_path_factory.mktemp("dealt") / "text"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def lists(tmp_path_factory) -> Path:
    """Lists of 0 to 4 hypotheses for 150 sources, and development lists for 70."""
    folder = tmp_path_factory.mktemp("lists")
    draw = random.Random(1)
    for prefix, count in (("", LISTS), ("dev-", 70)):
        source = ["the " + draw.choice(["cat", "dog", "man"]) for _ in range(count)]
        lines = []
        for i in range(count):
            for _ in range(draw.randrange(5)):
                words = " ".join(draw.choices(WORDS, k=draw.randrange(6)))
                lines.append(f"{i} ||| {words} ||| LM0= {draw.random():.3f} ||| {-draw.random()}")
        (folder / f"{prefix}src").write_text("".join(f"{line}\n" for line in source))
        (folder / f"{prefix}ref").write_text(
            "".join(f"le {line.split()[1]} dort .\n" for line in source)
        )
        (folder / f"{prefix}nbest").write_text("".join(f"{line}\n" for line in lines))
    other = [line.replace("LM0=", "TM0=") for line in lines[::3]]  # of the development lists
    (folder / "other").write_text("".join(f"{line}\n" for line in other))
    return folder


GENERATE = {
    "text": (2, "--batch-size", "7"),
    "moses": (3, "--format", "moses", "--beam", "3", "--nbest", "3", "--batch-size", "5"),
    "json, small chunks": (2, "--format", "json", "--buffer-size", "16", "--batch-size", "4"),
}


@pytest.mark.parametrize("mode", GENERATE)
def test_generate(s2st, world, text, forked, tmp_path, mode):
    count, *options = GENERATE[mode]
    command = ["generate", "--checkpoint", world.forward, *SHORT, *options, text]
    alone = s2st(*command, "-o", tmp_path / "alone")
    assert alone.code == 0, alone.err
    said = forked(count, *command, "-o", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "alone").read_bytes()
    lines = len(text.read_text().splitlines())
    assert f"s2st: {lines:,} lines by {count} processes" in said[0]
    warned = [line for line in alone.err.splitlines() if "warning" in line]
    assert warned == [line for line in said[0].splitlines() if "warning" in line]
    assert not any(said[1:])  # the first rank speaks for all
    assert not (tmp_path / "out.parts").exists()


@pytest.mark.parametrize(("sources", "form"), [("own", ["--format", "json"]), ("shared", [])])
def test_score(s2st, world, forked, tmp_path, monkeypatch, form, sources):
    from s2st.data.batch_planner import BatchingConfig
    from s2st.jobs import pair_scoring_tasks as score

    monkeypatch.setattr(score, "BATCHING", BatchingConfig(batch_size=8, max_tokens=200))
    monkeypatch.setattr(score, "SOURCES", BatchingConfig(batch_size=2, max_tokens=200))
    monkeypatch.setattr(score, "CHUNK_PAIRS", 50)
    target = (world.folder / "train.fr").read_text()
    source = (world.folder / "train.en").read_text()
    if sources == "shared":
        source = "".join(f"the {['cat', 'dog', 'man'][i % 3]}\n" for i in range(200))
    (tmp_path / "source").write_text(source)
    (tmp_path / "target").write_text(target)
    command = ["score", "--checkpoint", world.reversed, "--threads", "1", *form]
    command += ["--source", tmp_path / "source", "--target", tmp_path / "target"]
    alone = s2st(*command)
    assert alone.code == 0, alone.err
    assert len(alone.lines) == 200
    said = forked(2, *command, "-o", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == alone.data
    # log-probability and perplexity of all pairs, added up in the same order
    assert alone.err.splitlines()[-1] in said[0].splitlines()


RESCORE = {
    "words": ("--format", "words", "--max-rows", "16"),
    "tuned": ("--tune", "REF/ref", "--folds", "2", "--format", "nbest", "--weights-out", "OUT.w"),
    "tuned on others": (
        "--tune", "REF/dev-ref", "--dev-nbest", "REF/dev-nbest", "--dev-source", "REF/dev-src",
        "--folds", "2", "--report", "OUT.report",
    ),
    "best of a part": ("--shard", "2/2"),
    "merged with other lists": ("REF/other", "--format", "nbest"),
}  # fmt: skip


@pytest.mark.parametrize("mode", RESCORE)
def test_rescore_nbest(s2st, world, lists, forked, tmp_path, mode):
    def command(name: str) -> list[object]:
        options = [o.replace("REF", str(lists)).replace("OUT", name) for o in RESCORE[mode]]
        return [
            "rescore-nbest", lists / "nbest", "--source", lists / "src", "--threads", "1",
            "--checkpoint", world.forward, *options, "-o", name,
        ]  # fmt: skip

    alone = s2st(*command(str(tmp_path / "alone")))
    assert alone.code == 0, alone.err
    forked(2, *command(str(tmp_path / "out")))
    for path in tmp_path.glob("alone*"):
        dealt = tmp_path / path.name.replace("alone", "out")
        assert dealt.read_bytes() == path.read_bytes(), path.name
    assert len(list(tmp_path.glob("out*"))) == len(list(tmp_path.glob("alone*")))


def test_preprocess(s2st, world, forked, tmp_path):
    command = ["preprocess", "-s", "en", "-t", "fr", "--trainpref", world.folder / "train"]
    assert s2st(*command, "--destdir", tmp_path / "alone").code == 0
    forked(2, *command, "--destdir", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_bleu_is_computed_once(s2st, world, forked):
    assert forked(2, "score", world.target, "--ref", world.target) == ["", ""]


def test_streams_cannot_be_divided_over_ranks(s2st, world, text, tmp_path, monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    generate = ["generate", "--checkpoint", world.forward]
    part = "2 processes need regular files"
    s2st(*generate, "-o", tmp_path / "out", stdin=b"a\n").check_error(2, part)
    s2st(*generate, text).check_error(2, part)
    s2st(*generate, text, "-o", os.devnull).check_error(2, part)
    pairs = ["--source", text, "--target", text]
    s2st("score", "--checkpoint", world.forward, *pairs).check_error(2, part)
    lists = ["rescore-nbest", "--checkpoint", world.forward, "--source", text]
    s2st(*lists, text).check_error(2, part)
    s2st(*lists, "-", "-o", tmp_path / "out").check_error(2, part)
    assert not list(tmp_path.iterdir())


def test_what_another_job_left_is_refused(s2st, world, text, forked, tmp_path):
    (tmp_path / "out.parts").mkdir()
    (tmp_path / "out.parts" / "job").write_text('s2st work queue\n{"--beam": 12}')
    command = ["generate", "--checkpoint", world.forward, *SHORT, text, "-o", tmp_path / "out"]
    for said in forked(2, *command, "--beam", "3", "--resume", codes=(2, 2)):
        assert "out.parts: left by a run that differs in" in said
        assert "--beam" in said
    assert not (tmp_path / "out").exists()


def test_a_hung_rank_ends_the_job_within_the_time_out(world, text, forked, tmp_path, monkeypatch):
    from s2st.jobs.folder_queue import FolderQueue

    publish = FolderQueue.publish

    def hanging(self, task, result):
        if os.environ["RANK"] == "1":
            time.sleep(4)  # with a task claimed
            os._exit(77)
        publish(self, task, result)

    monkeypatch.setattr(FolderQueue, "publish", hanging)
    command = ["generate", "--checkpoint", world.forward, *SHORT, "--batch-size", "9", text]
    said = forked(2, *command, "-o", tmp_path / "out", "--rank-timeout", "1", codes=(1, 77))
    assert "--rank-timeout 1 seconds" in said[0].splitlines()[-1]
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    assert "by an earlier run)" in forked(2, *command, "-o", tmp_path / "out", "--resume")[0]


@pytest.mark.slow
def test_nobody_ends_before_the_first_has_joined_the_answers(
    world, text, forked, tmp_path, monkeypatch
):
    from s2st.jobs.folder_queue import FolderQueue

    def hanging(self, task):
        while not (tmp_path / "rank-1").exists():  # what the other said, when it has ended
            time.sleep(0.1)
        os._exit(77)

    monkeypatch.setattr(FolderQueue, "read", hanging)
    command = ["generate", "--checkpoint", world.forward, *SHORT, text, "-o", tmp_path / "out"]
    said = forked(2, *command, "--rank-timeout", "8", codes=(77, 1))
    assert "--rank-timeout 8 seconds" in said[-1].splitlines()[-1]
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    assert "by an earlier run)" in forked(2, *command, "--resume")[0]


WORKER = """
import os, signal, sys
from pathlib import Path
from s2st.jobs.folder_queue import FolderQueue
from s2st_cli.__main__ import entry_point

folder, attempt = Path(os.environ["FOLDER"]), os.environ["TORCHELASTIC_RESTART_COUNT"]
publish, made = FolderQueue.publish, []

def watched(self, task, result):
    if attempt == "0" and os.environ["RANK"] == "1" and len(made) == 2:
        os.kill(os.getpid(), signal.SIGKILL)  # a task is computed, and not kept
    publish(self, task, result)
    made.append(task.file)
    (folder / f"{task.file} {attempt} {os.environ['RANK']}").touch()

FolderQueue.publish = watched
entry_point()
"""


@pytest.mark.slow
def test_a_killed_rank_is_started_again_and_what_is_finished_is_kept(s2st, world, text, tmp_path):
    command = ["generate", "--checkpoint", world.forward, *SHORT, "--batch-size", "3"]
    assert s2st(*command, text, "-o", tmp_path / "alone").code == 0
    (tmp_path / "worker.py").write_text(WORKER)
    folder = tmp_path / "made"
    folder.mkdir()
    done = torchrun(
        2, "--max-restarts", 1, tmp_path / "worker.py", *command, text, "-o", tmp_path / "out",
        FOLDER=str(folder),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == (tmp_path / "alone").read_bytes()
    assert not (tmp_path / "out.parts").exists()
    pieces = [path.name.split() for path in folder.iterdir()]
    assert len({name for name, _, _ in pieces}) == len(pieces)  # none was done again
    noted = sum(int(name.split("+")[1]) for name, _, _ in pieces)
    # the rank that torchrun ended beside the killed one may have kept a piece and not noted it
    assert len(text.read_text().split("\n")) - 1 - noted in range(4)
    assert {attempt for _, attempt, _ in pieces} == {"0", "1"}
