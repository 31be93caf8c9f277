"""A model of a disk that loses power: what may be there after each durable operation.

A file holds what was last synced, or anything that was written since, torn. Each name of a folder
stands for what it stood for when the folder was last synced, or for anything since, whatever the
folder's other names do. Real file systems keep more than that.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(eq=False)
class File:
    """A file's contents since it was last synced; the first is the synced one."""

    versions: list[bytes] = field(default_factory=lambda: [b""])


@dataclass(eq=False)
class Link:
    """A symbolic link."""

    target: str


@dataclass(eq=False)
class Folder:
    """What each name stood for since the folder was last synced; the first is the synced one."""

    names: dict[str, list["Node"]] = field(default_factory=dict)

    def now(self, name: str) -> "Node":
        return self.names.get(name, [None])[-1]

    def put(self, name: str, node: "Node") -> None:
        self.names.setdefault(name, [None]).append(node)


Node = File | Folder | Link | None


@dataclass(frozen=True)
class Outage:
    """Which of the possible contents is found: of a name of a folder, and of a file."""

    name: str
    of_name: Callable[[list[Node]], Node]
    of_file: Callable[[list[bytes]], bytes]


def outages(draw: random.Random, count: int) -> list[Outage]:
    """Three certain ones, and `count` in which every name and file goes its own way."""

    def torn(versions: list[bytes]) -> bytes:
        last = versions[-1]
        if len(versions) == 1:
            return last
        return draw.choice([*versions, last[: len(last) // 2], b"\0" * len(last), b""])

    return [
        Outage("only what was synced", lambda nodes: nodes[0], lambda data: data[0]),
        Outage("all of it", lambda nodes: nodes[-1], lambda data: data[-1]),
        Outage("all names, no content", lambda nodes: nodes[-1], lambda data: data[0]),
        *[Outage("some of it", draw.choice, torn) for _ in range(count)],
    ]


class Disk:
    """Replays a log of the harness below `root`, which itself and what it held are safe."""

    def __init__(self, root: Path, log: Path) -> None:
        self._root = root
        self._log = log
        self._top = Folder()
        lines = (log / "operations").read_text("utf-8").splitlines()
        self.operations = [json.loads(line) for line in lines]
        self.done = 0

    def step(self) -> tuple[str, Path, str]:
        """Performs the next operation and returns it."""
        operation, text, other = self.operations[self.done]
        self.done += 1
        path = Path(text)
        folder, name = self._folder_of(path), path.name
        node = folder.now(name)
        if operation == "mkdir":
            folder.put(name, Folder())
        elif operation == "create":
            if isinstance(node, File):
                node.versions.append(b"")
            else:
                folder.put(name, File())
        elif operation == "write":
            assert isinstance(node, File)
            node.versions.append((self._log / str(self.done)).read_bytes())
        elif operation == "sync":
            _sync(self._top if path == self._root else node)
        elif operation == "rename":
            source = Path(other)
            origin = self._folder_of(source)
            folder.put(name, origin.now(source.name))
            origin.put(source.name, None)
        elif operation == "link":
            folder.put(name, Link(other))
        elif operation == "remove":
            _empty(node)
            folder.put(name, None)
        return operation, path, other

    def rebuild(self, target: Path, outage: Outage) -> None:
        """Writes what is found after the outage as a new folder."""
        _write(self._top, target, outage)

    def _folder_of(self, path: Path) -> Folder:
        folder = self._top
        if path == self._root:
            return folder
        for part in path.parent.relative_to(self._root).parts:
            inner = folder.now(part)
            assert isinstance(inner, Folder), path
            folder = inner
        return folder


def _sync(node: Node) -> None:
    if isinstance(node, File):
        node.versions = node.versions[-1:]
    else:
        assert isinstance(node, Folder)
        node.names = {name: nodes[-1:] for name, nodes in node.names.items() if nodes[-1]}


def _empty(node: Node) -> None:
    """Removes all below a folder; none of it is synced."""
    if isinstance(node, Folder):
        for name in list(node.names):
            _empty(node.now(name))
            node.put(name, None)


def _write(node: Node, path: Path, outage: Outage) -> None:
    if isinstance(node, File):
        path.write_bytes(outage.of_file(node.versions))
    elif isinstance(node, Link):
        os.symlink(node.target, path)
    elif isinstance(node, Folder):
        path.mkdir()
        for name, nodes in node.names.items():
            _write(outage.of_name(nodes), path / name, outage)
