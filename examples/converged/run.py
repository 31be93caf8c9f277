"""Train four kinds of model on Multi30k until they stop improving, and rescore whole Moses lists.

    python examples/converged/run.py [--plan FILE] [--run DIR] [--data DIR] [--lists DIR]
        [--until training|translation]

Each step is an s2st command, which is printed before it runs. Run the script again to resume it
after a stop. It prints the tables and writes them to RUN/results.md.
"""

import argparse
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
from study.command import CORES, exit_code_of, say  # noqa: E402
from study.steps import Runner, machine, versions  # noqa: E402
from tables import evaluation_steps, rescoring_table, systems_table  # noqa: E402

from s2st.process import durable_files  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402


def main() -> int:
    arguments = _parse()
    return exit_code_of(lambda: _run(arguments))


def _parse() -> argparse.Namespace:
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
        "--jobs", type=int, default=CORES, help="steps to run in parallel (number of cores)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads per step (1)")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> None:
    with hold_work_folder(arguments.run):
        plan, run = read_plan(arguments.plan), arguments.run
        lists = put_texts(plan, arguments.data, arguments.lists, run)
        runner = Runner(run, arguments.jobs, arguments.threads, say)
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
            say("no n-best lists: rescoring is skipped (name their folder with --lists)")
        elif arguments.until is None:
            steps += scoring_steps(plan)
            runner.run(steps)
            join_lists(plan, run)
            runner.run([*steps, *tuning_steps(plan)])
            text += "\n" + rescoring_table(plan, run)
        text += f"\n{machine()}; {versions()}.\n"
        durable_files.replace_file(run / "results.md", text.encode())
        print(text, end="")


if __name__ == "__main__":
    sys.exit(main())
