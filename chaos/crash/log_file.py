"""A recording as a file: JSON lines, one version, the same for whoever wrote the log.

* The first line is the header: ``format``, ``version``, ``folder``, ``command``, ``exit_code``, ``ignored`` (patterns
  of names that do not count), ``differences`` (where the replayed tree and the real folder disagreed at the end).
* Then come the nodes that were there before, as operations with ``"before": true``, and then the entries in the order
  in which they completed. ``op`` names the operation; its fields are those of ``chaos.storage.operations``; bytes are
  base64; names are text with ``surrogateescape``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from chaos.errors import UsageError
from chaos.storage.operations import (
    Entry,
    Link,
    MakeFile,
    MakeFolder,
    MakeSymlink,
    Node,
    Operation,
    Unmodelled,
    Visible,
    Write,
)
from chaos.storage.tree import Contents, Tree

FORMAT = "pywats-chaos operation log"
VERSION = 1
OPERATIONS: Mapping[str, type] = {kind.__name__: kind for kind in get_args(Operation)}


@dataclass(frozen=True, slots=True)
class Recording:
    """What a program did to a folder: what was there before, the entries since, and how well they explain the end."""

    start: Tree
    entries: Sequence[Entry]
    folder: str = ""
    command: Sequence[str] = ()
    exit_code: int | None = None
    ignored: Sequence[str] = ()
    differences: Sequence[str] = field(default_factory=tuple)

    @property
    def doubts(self) -> list[str]:
        """Return why nothing follows from this recording; empty when something does."""
        calls = dict[str, int]()
        for entry in self.entries:
            if isinstance(entry.operation, Unmodelled):
                words = f"{entry.operation.call}: {entry.operation.reason}"
                calls[words] = calls.get(words, 0) + 1
        often = [words + (f" ({count} times)" if count > 1 else "") for words, count in calls.items()]
        return [*often, *(f"the replayed tree differs from the real one: {line}" for line in self.differences)]

    @property
    def visible(self) -> list[Visible]:
        """Return the visible events; a crash state has seen the first of them."""
        return [entry.operation for entry in self.entries if isinstance(entry.operation, Visible)]

    def end(self) -> Contents:
        """Return the contents after the last entry. Raises ``OperationLogError``."""
        tree = self.start.copy()
        for entry in self.entries:
            tree.apply(entry.operation)
        return tree.contents()


def to_lines(recording: Recording) -> Iterator[str]:
    """Yield the lines of a file, each with its line feed."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "folder": recording.folder,
        "command": list(recording.command),
        "exit_code": recording.exit_code,
        "ignored": list(recording.ignored),
        "differences": list(recording.differences),
    }
    yield json.dumps(header) + "\n"
    for operation in _making_of(recording.start):
        yield json.dumps({**_as_dict(operation), "before": True}) + "\n"
    for entry in recording.entries:
        where = {"time_ns": entry.time_ns, "actor": entry.actor, "source": entry.source}
        yield json.dumps({**_as_dict(entry.operation), **where}) + "\n"


def from_lines(lines: Iterable[str], name: str = "the log") -> Recording:
    """Return the recording of a file. Raises ``UsageError`` with the line that makes no sense."""
    iterator = iter(lines)
    header = _parsed(next(iterator, ""), f"{name}:1")
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        found = f"{header.get('format')!r} version {header.get('version')!r} in {name}"
        raise UsageError(f"{FORMAT!r} version {VERSION}", found, "record it again with `pywats-chaos record`")
    start, entries = Tree(), []
    for number, line in enumerate(iterator, 2):
        data = _parsed(line, f"{name}:{number}")
        operation = _operation(data, f"{name}:{number}")
        if data.get("before"):
            start.apply(operation)
        else:
            where = {key: data[key] for key in ("time_ns", "actor", "source") if key in data}
            entries.append(Entry(operation, **where))
    chosen = {key: header.get(key) for key in ("folder", "command", "exit_code", "ignored", "differences")}
    return Recording(start, entries, **{key: value for key, value in chosen.items() if value is not None})


def save(recording: Recording, path: Path) -> None:
    """Write a recording into a file. Raises ``OSError``."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(to_lines(recording))


def load(path: Path) -> Recording:
    """Read a recording. Raises ``UsageError`` for anything but a recording, ``OSError``."""
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        return from_lines(file, str(path))


def _making_of(tree: Tree) -> Iterator[Operation]:
    """Yield operations that make a tree, a folder before what is in it."""
    made = set[Node]()
    parents = {"": 0}
    for path, node in tree.paths():
        parent, _, name = path.rpartition("/")
        folder = parents[parent]
        if node in made:
            yield Link(folder, name, node)
        elif node in tree.folders:
            parents[path] = node
            yield MakeFolder(folder, name, node)
        elif node in tree.symlinks:
            yield MakeSymlink(folder, name, node, tree.symlinks[node])
        else:
            yield MakeFile(folder, name, node)
            if tree.files[node]:
                yield Write(node, 0, tree.files[node])
        made.add(node)


def _as_dict(operation: Operation) -> dict[str, Any]:
    data: dict[str, Any] = {"op": type(operation).__name__}
    for part in fields(operation):
        value = getattr(operation, part.name)
        data[part.name] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return data


def _operation(data: Mapping[str, Any], where: str) -> Operation:
    kind = OPERATIONS.get(str(data.get("op")))
    if kind is None:
        raise UsageError(f"an operation in {where}", repr(data.get("op")), f"there are {', '.join(OPERATIONS)}")
    values = {part.name: data[part.name] for part in fields(kind) if part.name in data}
    try:
        if kind is Write:
            values["data"] = base64.b64decode(values["data"], validate=True)
        operation: Operation = kind(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"the fields of {kind.__name__} in {where}", str(error), "record it again") from error
    return operation


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"a JSON object in {where}", str(error), "record it again") from error
    if not isinstance(data, dict):
        raise UsageError(f"a JSON object in {where}", type(data).__name__, "record it again")
    return data
