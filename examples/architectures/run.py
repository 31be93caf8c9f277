"""Train every architecture alike on Multi30k and compare them in one table.

    python examples/architectures/run.py [--plan FILE] [--run DIR] [--data DIR] [--lists DIR]

Each step is an s2st command, which is printed before it runs. Run the script again to resume it
after a stop. It prints the table and writes it to RUN/results.md.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# step runner and measures come from the study of the paper
sys.path[:0] = [str(HERE), str(HERE.parent / "sutskever2014"), str(HERE.parent)]

from comparison import expand, put_texts, read_plan, translate_words  # noqa: E402
from study.command import CORES, exit_code_of, say  # noqa: E402
from study.steps import Runner, machine, versions  # noqa: E402
from table import render  # noqa: E402

from s2st.process import durable_files as durable  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402


def main() -> int:
    arguments = _parse()
    return exit_code_of(lambda: _compare(arguments))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--plan", type=Path, default=HERE / "plan.toml", help="TOML file that defines the models"
    )
    parser.add_argument("--data", type=Path, help="folder with Multi30k's tokenized text")
    parser.add_argument("--lists", type=Path, help="folder with the Moses n-best lists")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    parser.add_argument(
        "--jobs", type=int, default=CORES, help="steps to run in parallel (number of cores)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads per step (1)")
    return parser.parse_args()


def _compare(arguments: argparse.Namespace) -> None:
    plan, run = read_plan(arguments.plan), arguments.run
    with hold_work_folder(run):
        lists = put_texts(plan, arguments.data, arguments.lists, run)
        if not lists:
            say("no n-best lists: rescoring is skipped (name their folder with --lists)")
        Runner(run, arguments.jobs, arguments.threads, say).run(expand(plan, lists))
        translate_words(plan, run)
        text = render(plan, run, lists) + f"\n{machine()}; {versions()}.\n"
        durable.replace_file(run / "results.md", text.encode())
    print(text, end="")


if __name__ == "__main__":
    sys.exit(main())
