"""The crash states of a tiny log, found the slow and simple way: every subset at every point, applied one by one.

It shares with the real enumeration nothing but the words of the log, of the models and of a tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from chaos.storage import Persistence
from chaos.storage.operations import (
    Entry,
    Link,
    MakeFile,
    MakeFolder,
    MakeSymlink,
    Operation,
    RemoveFolder,
    Rename,
    Sync,
    SyncAll,
    SyncFailed,
    Truncate,
    Unlink,
    Visible,
    Write,
)
from chaos.storage.persistence import Zeros

Frozen = frozenset[tuple[str, bytes | None]]
NAMING = (MakeFile, MakeFolder, MakeSymlink, Rename, Link, Unlink, RemoveFolder)


def brute_states(log: Sequence[Entry], model: Persistence) -> set[tuple[int, Frozen]]:
    """Return (visible events before, contents) for every crash of ``log``; no links but hard ones."""
    operations = [entry.operation for entry in log]
    nodes = named_nodes(operations)
    states = set()
    for point in range(len(operations) + 1):
        done = operations[:point]
        visible = sum(isinstance(o, Visible) for o in done)
        for fates in legal_fates(done, nodes, model):
            states.add((visible, applied(done, nodes, fates, model)))
    return states


def named_nodes(operations: Sequence[Operation]) -> dict[int, int]:
    """Return the node that each naming operation is about."""
    names: dict[tuple[int, str], int] = {}
    nodes = {}
    for index, o in enumerate(operations):
        if isinstance(o, MakeFile | MakeFolder | MakeSymlink | Link):
            names[o.folder, o.name] = nodes[index] = o.node
        elif isinstance(o, Unlink | RemoveFolder):
            nodes[index] = names.pop((o.folder, o.name))
        elif isinstance(o, Rename):
            nodes[index] = names.pop((o.folder, o.name))
            names[o.to_folder, o.to_name] = nodes[index]
    return nodes


def sizes_before(operations: Sequence[Operation]) -> list[int]:
    """Return how long the file of each write and truncation was before it."""
    sizes: dict[int, int] = {}
    found = []
    for o in operations:
        found.append(sizes.get(o.node, 0) if isinstance(o, Write | Truncate) else 0)
        if isinstance(o, Write):
            sizes[o.node] = max(sizes.get(o.node, 0), o.offset + len(o.data))
        elif isinstance(o, Truncate):
            sizes[o.node] = o.size
    return found


def sure_ones(done: Sequence[Operation], nodes: dict[int, int], model: Persistence) -> tuple[set[int], set[int]]:
    """Return the indexes of the operations that certainly reached the disk, and of those that a failed sync gave up."""
    sure: set[int] = set()
    adrift: set[int] = set()
    sizes = sizes_before(done)
    for index, sync in enumerate(done):
        if isinstance(sync, SyncFailed):
            adrift |= {
                i
                for i, o in enumerate(done[:index])
                if isinstance(o, Write | Truncate) and o.node == sync.node and i not in sure
            }
        if isinstance(sync, SyncAll):
            sure |= {i for i in range(index) if not (i in adrift and isinstance(done[i], Write))} - (
                set() if model.is_journaled else adrift
            )
        if not isinstance(sync, Sync):
            continue
        fresh = (
            {i for i, o in enumerate(done[:index]) if isinstance(o, Write | Truncate) and o.node == sync.node}
            - sure
            - adrift
        )
        sure |= fresh
        if not model.is_journaled:
            sure |= {i for i, o in enumerate(done[:index]) if isinstance(o, NAMING) and home(o) == sync.node}
            continue
        touching = [i for i, o in enumerate(done[:index]) if sync.node in touched(o, nodes.get(i))]
        grown = any(ends_at(done[i]) > sizes[i] for i in fresh)
        last = index if grown else max(touching, default=-1)
        if not grown and sync.data_only and not any(isinstance(done[i], Truncate) for i in fresh):
            last = -1
        sure |= {i for i, o in enumerate(done[:index]) if isinstance(o, (*NAMING, Truncate)) and i <= last}
    if model.replacing_orders_data:
        for rename in [i for i in sure if is_replacing(done, i)]:
            sure |= {
                i for i, o in enumerate(done[:rename]) if isinstance(o, Write) and o.node == nodes[rename]
            } - adrift
    return sure, adrift


def ends_at(o: Operation) -> int:
    return o.size if isinstance(o, Truncate) else o.offset + len(o.data) if isinstance(o, Write) else 0


def home(o: Operation) -> int:
    """Return the folder whose sync makes a naming operation durable."""
    return o.to_folder if isinstance(o, Rename) else o.folder  # type: ignore[union-attr]


def touched(o: Operation, node: int | None) -> set[int | None]:
    if isinstance(o, Write | Truncate):
        return {o.node}
    if isinstance(o, Rename):
        return {node, o.folder, o.to_folder}
    return {node, o.folder} if isinstance(o, NAMING) else set()


def is_replacing(operations: Sequence[Operation], index: int) -> bool:
    o = operations[index]
    if not isinstance(o, Rename):
        return False
    names: set[tuple[int, str]] = set()
    for before in operations[:index]:
        if isinstance(before, MakeFile | MakeFolder | MakeSymlink | Link):
            names.add((before.folder, before.name))
        elif isinstance(before, Unlink | RemoveFolder):
            names.discard((before.folder, before.name))
        elif isinstance(before, Rename):
            names.discard((before.folder, before.name))
            names.add((before.to_folder, before.to_name))
    return (o.to_folder, o.to_name) in names


def legal_fates(done: Sequence[Operation], nodes: dict[int, int], model: Persistence) -> Iterator[list[str]]:
    """Yield for each operation its fate: kept, lost, zeros, head or tail."""
    sure, adrift = sure_ones(done, nodes, model)
    options = []
    for index, o in enumerate(done):
        if not isinstance(o, (*NAMING, Write, Truncate)) or index in sure:
            options.append(["kept"])
        elif isinstance(o, Write):
            torn = ["head"] if len(o.data) > 1 else []
            torn += ["tail"] if len(o.data) > 512 else []
            torn += [] if model.zeros is Zeros.NEVER else ["zeros"]
            options.append(["kept", "lost", *torn])
        else:
            options.append(["kept", "lost"])
    for fates in product(*options):
        if not model.is_journaled or is_legal_journal(done, nodes, fates, model, adrift):
            yield list(fates)


def is_legal_journal(
    done: Sequence[Operation], nodes: dict[int, int], fates: Sequence[str], model: Persistence, adrift: set[int]
) -> bool:
    journal = [f for o, f in zip(done, fates, strict=True) if isinstance(o, (*NAMING, Truncate))]
    if journal != sorted(journal):  # "kept" sorts before "lost": all that was kept stands first.
        return False
    sizes = sizes_before(done)
    for index, (o, fate) in enumerate(zip(done, fates, strict=True)):
        if isinstance(o, Truncate) and fate == "lost" and o.size < sizes[index]:
            later = [
                f for p, f in zip(done[index:], fates[index:], strict=True) if isinstance(p, Write) and p.node == o.node
            ]
            if any(f != "lost" for f in later):
                return False
        if model.replacing_orders_data and fate == "kept" and is_replacing(done, index):
            data = [
                fates[i]
                for i, p in enumerate(done[:index])
                if isinstance(p, Write) and p.node == nodes[index] and i not in adrift
            ]
            if any(f != "kept" for f in data):
                return False
    return True


def applied(done: Sequence[Operation], nodes: dict[int, int], fates: Sequence[str], model: Persistence) -> Frozen:
    """Return the contents after doing to an empty disk what the fates say."""
    names: dict[tuple[int, str], int] = {}
    data: dict[int, bytearray] = {}
    folders = {0}
    for index, (o, fate) in enumerate(zip(done, fates, strict=True)):
        if isinstance(o, MakeFolder):
            folders.add(o.node)
        if isinstance(o, Write):
            write(data.setdefault(o.node, bytearray()), o, fate, model)
        elif fate == "lost":
            continue
        elif isinstance(o, Truncate):
            file = data.setdefault(o.node, bytearray())
            del file[o.size :]
            file.extend(bytes(o.size - len(file)))
        elif isinstance(o, MakeFile | MakeFolder | Link):
            names[o.folder, o.name] = o.node
        elif isinstance(o, Unlink | RemoveFolder | Rename):
            if names.get((o.folder, o.name)) == nodes[index]:
                del names[o.folder, o.name]
            if isinstance(o, Rename):
                names[o.to_folder, o.to_name] = nodes[index]
    return frozenset(paths(names, data, folders, 0, ""))


def write(file: bytearray, o: Write, fate: str, model: Persistence) -> None:
    size = len(o.data)
    middle = size // 2 if size // 2 <= 512 else size // 2 - size // 2 % 512
    pieces = {"kept": [(0, o.data)], "head": [(0, o.data[:middle])], "tail": [(middle, o.data[middle:])], "lost": []}
    if fate == "zeros" and model.zeros is Zeros.ANYWHERE:
        pieces["zeros"] = [(0, bytes(size))]
    elif fate == "zeros":
        behind = max(0, o.offset + size - len(file))
        pieces["zeros"] = [(size - behind, bytes(behind))]
    for offset, piece in pieces[fate]:
        if piece:
            start = o.offset + offset
            file.extend(bytes(max(0, start + len(piece) - len(file))))
            file[start : start + len(piece)] = piece


def paths(
    names: dict[tuple[int, str], int], data: dict[int, bytearray], folders: set[int], folder: int, prefix: str
) -> Iterator[tuple[str, bytes | None]]:
    for (parent, name), node in names.items():
        if parent == folder:
            yield prefix + name, None if node in folders else bytes(data.get(node, b""))
            if node in folders:
                yield from paths(names, data, folders, node, f"{prefix}{name}/")
