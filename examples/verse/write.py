"""Train a language model on a text of your choice, and write verse with it.

    python examples/verse/write.py TEXT [--prompt "The moon"] [--arch transformer-lm]

TEXT has one line of verse per line, and an empty line between poems or stanzas. The model reads and
writes up to --lines lines at a time, with a `/` between two lines. The script prints each s2st
command. Run it again to resume it after a stop; once the model is trained, it only writes.
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
BREAK = "/"  # between two lines of verse
HELD_OUT = 20  # every 20th piece of the text is validation data


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
    parser.add_argument(
        "text", type=Path, help="text file: lines of verse, an empty line between stanzas"
    )
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    parser.add_argument("--arch", default="transformer-lm", help="transformer-lm or lstm-lm")
    parser.add_argument("--characters", action="store_true", help="write letter by letter")
    parser.add_argument(
        "--pieces",
        type=int,
        default=2000,
        help="vocabulary size in subword pieces, unless --characters",
    )
    parser.add_argument("--lines", type=int, default=4, help="most lines per piece of text")
    parser.add_argument("--max-epoch", type=float, default=20, help="training epochs")
    parser.add_argument("--prompt", action="append", help="text to continue; repeatable")
    parser.add_argument("--poems", type=int, default=2, help="poems per prompt")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the sampling")
    parser.add_argument("--top-k", type=int, default=40, help="sample from the K best words")
    parser.add_argument("--seed", type=int, default=1, help="random seed of the sampling")
    return parser.parse_args()


def make_text(text: Path, folder: Path, lines: int) -> None:
    """Write train.verse and valid.verse, one piece per line; refuse to overwrite another text."""
    try:
        pieces = list(stanzas(text.read_text("utf-8"), lines))
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{text}: cannot be read: {error}")
    if len(pieces) < 2 * HELD_OUT:
        sys.exit(f"{text}: only {len(pieces)} pieces of verse; a model needs several hundred")
    parts = {"train": [], "valid": []}
    for number, piece in enumerate(pieces):
        parts["valid" if number % HELD_OUT == 0 else "train"].append(piece + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in parts.items():
        path, whole = folder / f"{name}.verse", "".join(made)
        if path.exists() and path.read_text("utf-8") != whole:
            sys.exit(f"{path} was made from another text or with other --lines: name another --run")
        durable_files.replace_file(path, whole.encode())


def stanzas(text: str, lines: int) -> Iterator[str]:
    """Cut each stanza into pieces of at most `lines` lines; yield each piece as one line."""
    for stanza in text.replace("\r\n", "\n").split("\n\n"):
        rows = [" ".join(row.replace(BREAK, " ").split()) for row in stanza.split("\n")]
        rows = [row for row in rows if row]
        for first in range(0, len(rows), lines):
            yield f" {BREAK} ".join(rows[first : first + lines])


def s2st(options: str, *paths: object, lines: str = "") -> str:
    """Run a command and return its stdout; `options` is split at blanks, `paths` are not."""
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
