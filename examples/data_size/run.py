"""Which model for how much data: train some models on corpora of several sizes, and compare them.

    python examples/data_size/run.py [--budget MINUTES] [--corpus NAME] [--run DIR] [--data DIR]

Each command is printed before it runs. Each cell of the table (one model on one corpus) is a file.
Run the script again to resume it after a stop, or with a larger --budget to train further. It
prints the table and writes it to RUN/results.md.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
# helpers come from the study of the paper
sys.path[:0] = [str(HERE), str(HERE.parent / "sutskever2014"), str(HERE.parent)]

from cells import Cells, Plan, read_plan  # noqa: E402
from multi30k.corpus import SHARED  # noqa: E402
from study.command import exit_code_of, say  # noqa: E402
from study.steps import StoppedError, StudyError, machine, versions  # noqa: E402

from s2st.process import durable_files  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402


def main() -> int:
    arguments = _parse()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    return exit_code_of(lambda: _compare(arguments))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--plan", type=Path, default=HERE / "plan.toml", help="TOML file of corpora and models"
    )
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the corpora")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    parser.add_argument(
        "--budget", type=float, default=60, help="CPU minutes of training per model (60)"
    )
    parser.add_argument(
        "--corpus", action="append", help="compute only this corpus of the plan; repeatable"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (1)")
    return parser.parse_args()


def _compare(arguments: argparse.Namespace) -> None:
    with hold_work_folder(arguments.run):
        plan = read_plan(arguments.plan)
        names = [corpus.name for corpus in plan.corpora]
        wanted = arguments.corpus or names
        if not set(wanted) <= set(names):
            raise StudyError(f"--corpus: the plan has {', '.join(names)}")
        budget = 60 * arguments.budget
        cells = Cells(plan, arguments.data, arguments.run, budget, arguments.threads, say)
        for corpus in plan.corpora:
            for model in plan.models if corpus.name in wanted else ():
                cells.compute(corpus, model)
        text = render(plan, cells) + f"\n{machine()}; {versions()}.\n"
        durable_files.replace_file(arguments.run / "results.md", text.encode())
        print(text, end="")


def render(plan: Plan, cells: Cells) -> str:
    """Render the cells that are computed, as Markdown."""
    penalties = [f"{lenpen:g}" for lenpen in plan.lenpen]
    head = ["corpus", "model", *(f"BLEU, `--lenpen {p}`" for p in penalties)]
    head += [f"chrF, `--lenpen {penalties[-1]}`", "CPU minutes of training", "training ended"]
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|---|---" + "|---:" * (len(penalties) + 2) + "|---|")
    for corpus in plan.corpora:
        for model in plan.models:
            cell = cells.cell(corpus, model)
            if "scores" not in cell:
                continue
            scores = cell["scores"]
            row = [corpus.label, model.label, *(f"{scores[p]['BLEU']:.2f}" for p in penalties)]
            row += [f"{scores[penalties[-1]]['chrF2']:.2f}", f"{cell['seconds'] / 60:.1f}"]
            row.append("by itself" if cell["ended"] else "by the budget")
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number)


if __name__ == "__main__":
    sys.exit(main())
