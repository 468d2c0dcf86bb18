"""The steps of a log in words that two runs of one program have in common, wherever and whenever they ran.

* Names keep their meaning and lose what differs from run to run: instants, ids, sizes in names. Nodes and descriptors
  do not show, and of bytes only that they were written.
* What makes nothing durable and changes nothing (a close) is left out, and so is what lies outside the folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chaos.crash.counterexample import Namer
from chaos.storage.operations import Close, Entry, Sync, SyncAll, SyncFailed, Visible, Write
from chaos.storage.tree import Tree

DIFFERS = (
    (re.compile(r"\d{8}T\d{6}\.\d{6}Z"), "WHEN"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"(?<=_ID_)\d+"), "SIZE"),
)


def steps_of(start: Tree, log: Sequence[Entry], folder: str = "") -> list[str]:
    """Return what ``log`` did in ``folder`` (a path in its tree; everywhere by default), a line for each step."""
    namer, steps = Namer(start), list[str]()
    for entry in log:
        operation = entry.operation
        words = "" if isinstance(operation, Close | Visible) else _words(namer, entry)
        namer.take(entry)
        if words == f"mkdir {folder}":
            continue
        if words and isinstance(operation, SyncAll):
            steps.append(words)
        elif words and (not folder or f"{folder}/" in words or words.endswith(f" {folder}")):
            steps.append(_common(words.replace(f"{folder}/", "") if folder else words, folder))
    return steps


def _words(namer: Namer, entry: Entry) -> str:
    operation = entry.operation
    if isinstance(operation, Write):
        return f"write {namer.path_of(operation.node)}"
    if isinstance(operation, Sync | SyncFailed):
        how = "sync" if isinstance(operation, Sync) else "failed sync"
        return f"{how} {namer.path_of(operation.node)}"
    return namer.words(operation)


def _common(words: str, folder: str) -> str:
    for pattern, common in DIFFERS:
        words = pattern.sub(common, words)
    return f"{words.removesuffix(folder)}." if folder and words.endswith(f" {folder}") else words
