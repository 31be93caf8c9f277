"""Writes verse: a language model trained on a text that you name, by s2st commands it prints.

    python examples/verse/write.py TEXT [--prompt "The moon"] [--arch transformer-lm]

TEXT has a line of verse a line, and an empty line between poems or stanzas. What the model reads
and writes at once is up to --lines of them, with a sign between two lines. Stopped and started
again it goes on where it was; when it has trained, it writes at once.
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from s2st.process import durable_files

HERE = Path(__file__).resolve().parent
BREAK = "/"  # stands where a line ends and another follows
HELD_OUT = 20  # every 20th piece of the text is for validation


def main() -> None:
    arguments = parsed()
    prompts = arguments.prompt or [""]
    run = arguments.run
    make_text(arguments.text, run / "text", arguments.lines)
    kind = f"--sentencepiece-model-type {'char' if arguments.characters else 'bpe'}"
    if not (run / "bin").exists():
        s2st(
            f"preprocess --only-target -t verse --tokenizer sentencepiece {kind} "
            f"--sentencepiece-vocab-size {arguments.pieces} --max-length 1000",
            "--trainpref", run / "text/train", "--validpref", run / "text/valid",
            "--destdir", run / "bin",
        )  # fmt: skip
    s2st(
        f"train --arch {arguments.arch} --batch-size 16 --max-epoch {arguments.max_epoch} "
        "--log-interval 100", run / "bin", "--save-dir", run / "model",
    )  # fmt: skip
    lines = [prompt for prompt in prompts for _ in range(arguments.poems)]
    longest = arguments.lines * (80 if arguments.characters else 30)
    verse = s2st(
        f"generate --search sampling --no-unk --temperature {arguments.temperature} "
        f"--top-k {arguments.top_k} --sampling-seed {arguments.seed} --max-len-b {longest}",
        "--checkpoint", run / "model/checkpoint_best",
        lines="".join(line + "\n" for line in lines),
    )  # fmt: skip
    poems = ["\n".join(part.strip() for part in line.split(BREAK)) for line in verse.splitlines()]
    print("\n\n".join(poems))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="lines of verse; an empty line between stanzas")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    parser.add_argument("--arch", default="transformer-lm", help="or lstm-lm")
    parser.add_argument("--characters", action="store_true", help="write letter by letter")
    parser.add_argument("--pieces", type=int, default=2000, help="of words, where not --characters")
    parser.add_argument("--lines", type=int, default=4, help="lines that are written together")
    parser.add_argument("--max-epoch", type=float, default=20)
    parser.add_argument("--prompt", action="append", help="what to go on from; repeatable")
    parser.add_argument("--poems", type=int, default=2, help="for each prompt")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-k", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1, help="of the draws")
    return parser.parse_args()


def make_text(text: Path, folder: Path, lines: int) -> None:
    """Writes train.verse and valid.verse, a few lines of verse a line; not over another text."""
    try:
        pieces = list(stanzas(text.read_text("utf-8"), lines))
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{text}: cannot be read: {error}")
    if len(pieces) < 2 * HELD_OUT:
        sys.exit(f"{text}: {len(pieces)} pieces of verse; a model needs some hundreds")
    parts = {"train": [], "valid": []}
    for number, piece in enumerate(pieces):
        parts["valid" if number % HELD_OUT == 0 else "train"].append(piece + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in parts.items():
        path, whole = folder / f"{name}.verse", "".join(made)
        if path.exists() and path.read_text("utf-8") != whole:
            sys.exit(f"{path} is of another text or other --lines: name another --run")
        durable_files.replace_file(path, whole.encode())


def stanzas(text: str, lines: int) -> Iterator[str]:
    """Pieces of a stanza of at most so many lines, each as one line."""
    for stanza in text.replace("\r\n", "\n").split("\n\n"):
        rows = [" ".join(row.replace(BREAK, " ").split()) for row in stanza.split("\n")]
        rows = [row for row in rows if row]
        for first in range(0, len(rows), lines):
            yield f" {BREAK} ".join(rows[first : first + lines])


def s2st(options: str, *paths: object, lines: str = "") -> str:
    """Runs a command of options without blanks in them, and of words that are as they are."""
    command = [*options.split(), *map(str, paths)]
    print(f"$ s2st {shlex.join(command)}", file=sys.stderr, flush=True)
    started = time.perf_counter()
    words = [sys.executable, "-m", "s2st_cli", *command]
    done = subprocess.run(words, input=lines, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode:
        sys.exit(done.returncode)
    print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return done.stdout


if __name__ == "__main__":
    main()
