"""Generate the corpus of `s2st demo`, or a corpus of another size.

    python examples/demo_corpus/run.py [--output PREFIX [--pairs N] [--seed N]]

Without --output, the command writes the two data files of the package `s2st.demo_corpus`.
"""

import argparse
import bz2
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import s2st.demo_corpus
from demo_corpus.grammar import draw_pairs
from s2st.demo_corpus import Pair
from s2st.process import durable_files

PACKAGE = Path(s2st.demo_corpus.__file__).parent
#: What the package ships: the default sizes of `s2st demo`, 500 + 500 + 20,000.
SHIPPED_PAIRS, SHIPPED_SEED = 21_000, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, metavar="PREFIX", help="write PREFIX.en and PREFIX.fr"
    )
    parser.add_argument("--pairs", type=int, help=f"number of pairs (default {SHIPPED_PAIRS})")
    parser.add_argument("--seed", type=int, help=f"random seed (default {SHIPPED_SEED})")
    arguments = parser.parse_args()
    if arguments.output is None and (arguments.pairs, arguments.seed) != (None, None):
        parser.error("--pairs and --seed need --output: the package's files are always the same")
    count = SHIPPED_PAIRS if arguments.pairs is None else arguments.pairs
    seed = SHIPPED_SEED if arguments.seed is None else arguments.seed
    try:
        english, french = texts(draw_pairs(count, seed))
    except ValueError as error:
        parser.error(f"--pairs: {error}")
    if arguments.output is None:
        durable_files.replace_file(PACKAGE / "english.txt.bz2", bz2.compress(english, 9))
        durable_files.replace_file(PACKAGE / "french.txt.bz2", bz2.compress(french, 9))
    else:
        durable_files.replace_file(Path(f"{arguments.output}.en"), english)
        durable_files.replace_file(Path(f"{arguments.output}.fr"), french)


def texts(pairs: tuple[Pair, ...]) -> tuple[bytes, bytes]:
    """Returns the English and the French file, one sentence per line, UTF-8."""
    english = "".join(f"{pair.source}\n" for pair in pairs)
    french = "".join(f"{pair.target}\n" for pair in pairs)
    return english.encode(), french.encode()


if __name__ == "__main__":
    main()
