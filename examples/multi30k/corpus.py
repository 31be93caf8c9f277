"""Tokenized Multi30k: in a given folder, beside the project, or by download; files made of it."""

import hashlib
import sys
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from s2st.process import durable_files
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import read_lines

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/tok/{}.lc.norm.tok.{}"
SHA256 = {
    "train.en": "08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119",
    "train.fr": "8fa41bb718412bcb7c5dfa58603842810a01543eae86a51279f9886b901266e1",
    "val.en": "46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec",
    "val.fr": "b303e301aa21fe7822a846b2b3fb2d5a1121ec807cd5b1d006fb7b2b5507168a",
    "test_2016_flickr.en": "5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2",
    "test_2016_flickr.fr": "1463bd5960f9bfe098ec3cd752d3df0c49c84dc646fb518964a29232658cd836",
}
SECOND_TEST = {
    "test_2017_flickr.en": "c9d1dfd7a26add989382e534af235af9f0f658b2a30e7eb0efdaf142496ee54f",
    "test_2017_flickr.fr": "c0583117a47b31e8a6c6a97cfe8de153e462074668f4e994764fcc80b21d33b4",
}
KNOWN = SHA256 | SECOND_TEST


class CorpusError(Exception):
    """The text is missing; the message is one line."""


def find_text(named: Path | None, names: Collection[str], download_to: Path) -> Path:
    """Return a folder that has all files of these names, plain or as NAME.gz.

    Raises:
        CorpusError: a file is missing from the given folder, or cannot be downloaded.
    """
    folder = named or SHARED / "multi30k" / "tok"
    missing = [name for name in names if not plain_or_gz(folder, name).exists()]
    if not missing:
        return folder
    if named is not None:
        raise CorpusError(f"{named}: has neither {missing[0]} nor {missing[0]}.gz")
    if not set(names) <= set(KNOWN):
        raise CorpusError("this text cannot be downloaded; name its folder with --data")
    download_to.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (download_to / name).exists():
            _download(name, download_to / name)
    return download_to


def plain_or_gz(folder: Path, name: str) -> Path:
    """Return the path of the plain file if it exists, otherwise that of its .gz."""
    plain = folder / name
    return plain if plain.exists() else folder / f"{name}.gz"


def _download(name: str, path: Path) -> None:
    url = URL.format(*name.rsplit(".", 1))
    print(f"downloading {url}", file=sys.stderr, flush=True)
    try:
        with urllib.request.urlopen(url, timeout=60) as stream:
            content = stream.read()
    except (urllib.error.URLError, OSError) as error:
        raise CorpusError(f"cannot download {url}: {error}; name a folder with --data") from error
    if hashlib.sha256(content).hexdigest() != KNOWN[name]:
        raise CorpusError(f"{url}: unexpected sha256; name a folder with --data")
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def first_hypotheses(path: str, top: int | None) -> Iterator[str]:
    """Yield the lines of the first hypotheses of each list; all of them if `top` is None."""
    current, count = "", 0
    for line in read_lines(path):
        identifier = line.split("|||", 1)[0].strip()
        count = count + 1 if identifier == current else 1
        current = identifier
        if top is None or count <= top:
            yield f"{line}\n"


def put_lines(path: Path, lines: Sequence[str]) -> None:
    """Write a file of lines, unless it has them already: steps that read it then stay complete."""
    content = "".join(f"{line}\n" for line in lines).encode()
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable_files.replace_file(path, content)


def put_first_hypotheses(path: Path, own: Path, top: int) -> None:
    """Write the first `top` hypotheses of each list to `own`, unless it has them already."""
    size = own.with_name(own.name.partition(".")[0] + ".size")
    if not (own.exists() and size.exists() and size.read_text("utf-8") == f"{top}\n"):
        own.parent.mkdir(parents=True, exist_ok=True)
        write_whole(str(own), first_hypotheses(str(path), top))
        put_lines(size, [str(top)])
