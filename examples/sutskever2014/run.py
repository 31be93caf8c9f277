"""Repeat the paper's tables and figures: plan -> steps -> figures -> one HTML report.

    python examples/sutskever2014/run.py [--scale cpu|converged|smoke|gpu|paper] [--run DIR]

Run the script again to resume it after a stop. It writes the report to RUN/report.html.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from study.command import CORES, exit_code_of, say  # noqa: E402
from study.cost import cost_table  # noqa: E402
from study.data import put_corpus, put_lists  # noqa: E402
from study.expand import expand  # noqa: E402
from study.plan import read_plan  # noqa: E402
from study.report import write_report  # noqa: E402
from study.steps import Runner, StudyError  # noqa: E402

from s2st.analysis.figures import require_matplotlib  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402


def main() -> int:
    arguments = _parse()
    return exit_code_of(lambda: _study(arguments))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scale", default="cpu", help="plan in plans/: cpu, converged, smoke, gpu or paper"
    )
    parser.add_argument("--plan", type=Path, help="your own plan file, instead of --scale")
    parser.add_argument("--data", type=Path, help="folder with the plan's text (NAME.LANG[.gz])")
    parser.add_argument("--lists", type=Path, help="folder with the plan's n-best lists")
    parser.add_argument("--run", type=Path, help="folder to work in (default: run-SCALE here)")
    parser.add_argument(
        "--jobs", type=_count, default=CORES, help="steps to run in parallel (number of cores)"
    )
    parser.add_argument("--threads", type=_count, default=1, help="CPU threads per step (1)")
    parser.add_argument(
        "--insist", action="store_true", help="run a plan even if only its cost is to be printed"
    )
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _study(arguments: argparse.Namespace) -> None:
    path = arguments.plan or HERE / "plans" / f"{arguments.scale}.toml"
    plan = read_plan(path)
    if plan.cost is not None and not arguments.insist:
        for line in cost_table(plan, HERE.parents[1]):
            print(line)
        say("this is the estimated cost; --insist runs the plan")
        return
    require_matplotlib()  # fail now, not after hours of training
    run: Path = arguments.run or HERE / f"run-{path.stem}"
    with hold_work_folder(run):
        put_corpus(plan, arguments.data, run)
        lists = put_lists(plan, arguments.lists, run)
        if not lists:
            say("no n-best lists: rescoring is skipped (name their folder with --lists)")
        steps = expand(plan, lists)
        Runner(run, arguments.jobs, arguments.threads, say).run(steps)
        command = shlex.join(["python", *sys.argv])
        write_report(plan, run, steps, lists, command)
    page = run / "report.html"
    words = [sys.executable, "-m", "s2st_cli", "report", str(run), "-o", str(page)]
    if subprocess.run(words).returncode:
        raise StudyError(f"`s2st report {run}` failed")
    print((run / "results.md").read_text("utf-8"), end="")
    say(f"full report: {page}")


if __name__ == "__main__":
    sys.exit(main())
