"""Train four kinds of model on Multi30k until they stop improving, and rescore whole Moses lists.

    python examples/converged/run.py [--plan FILE] [--run DIR] [--data DIR] [--lists DIR]
        [--until training|translation]

Each step is an s2st command, which is printed before it runs. Run the script again to resume it
after a stop. It prints the tables and writes them to RUN/results.md.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# step runner and measures come from the study of the paper
sys.path[:0] = [str(HERE), str(HERE.parent / "sutskever2014"), str(HERE.parent)]

from expansion import (  # noqa: E402
    join_lists,
    length_steps,
    put_texts,
    read_plan,
    scoring_steps,
    training_steps,
    translation_steps,
    tuning_steps,
)
from study.steps import Runner, StoppedError, StudyError, machine, versions  # noqa: E402
from tables import evaluation_steps, rescoring_table, systems_table  # noqa: E402

from s2st.errors import S2STError  # noqa: E402
from s2st.process import durable_files  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402


def main() -> int:
    arguments = _parse()
    try:
        with hold_work_folder(arguments.run):
            _run(arguments)
    except StoppedError as stop:
        _say(f"stopped by {stop}; run the same command again to resume")
        return 128 + stop.number
    except (StudyError, S2STError) as error:
        _say(f"error: {error}")
        return getattr(error, "exit_code", 1)
    return 0


def _parse() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--plan", type=Path, default=HERE / "plan.toml", help="TOML file that defines the models"
    )
    parser.add_argument("--data", type=Path, help="folder with Multi30k's tokenized text")
    parser.add_argument("--lists", type=Path, help="folder with the Moses n-best lists")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    parser.add_argument(
        "--until", choices=("training", "translation"), help="stop after this part (do all)"
    )
    parser.add_argument(
        "--jobs", type=int, default=cores, help="steps to run in parallel (number of cores)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads per step (1)")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> None:
    plan, run = read_plan(arguments.plan), arguments.run
    lists = put_texts(plan, arguments.data, arguments.lists, run)
    runner = Runner(run, arguments.jobs, arguments.threads, _say)
    steps = list(training_steps(plan))
    runner.run(steps)
    if arguments.until == "training":
        return
    steps += length_steps(plan)
    runner.run(steps)
    steps += translation_steps(plan, run)
    steps += evaluation_steps(plan)
    runner.run(steps)
    text = systems_table(plan, run)
    if not lists:
        _say("no n-best lists: rescoring is skipped (name their folder with --lists)")
    elif arguments.until is None:
        runner.run(steps + list(scoring_steps(plan)))
        join_lists(plan, run)
        runner.run(list(tuning_steps(plan)))
        text += "\n" + rescoring_table(plan, run)
    text += f"\n{machine()}; {versions()}.\n"
    durable_files.replace_file(run / "results.md", text.encode())
    print(text, end="")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
