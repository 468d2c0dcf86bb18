"""Mistakes in what is done to the disk, and when: each shows only when the power goes, and then only sometimes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.protocols import WorldKind
from chaos.replacements import Replacements

DISK = "pywats_reliability.disk:Disk"
POWER = "only the power loss shows it"
IN_CRASH_STATES = (WorldKind.CRASH,)
"""For what a drawn power loss meets once in a thousand runs, and an enumerated one at once."""


@mutant("H1.1", subtle=POWER)
def no_file_is_synced(service: Replacements) -> None:
    """Leaves the contents to the page cache: "the kernel writes them within seconds anyway"."""
    service.replace(f"{DISK}.sync_aside", lambda _disk, _aside: None)
    service.replace(f"{DISK}.sync_filesystem", lambda _disk, _folder: True)


@mutant("H1.1", subtle=POWER)
def no_folder_is_synced(service: Replacements) -> None:
    """Syncs the file only: "its name comes with it"."""
    service.replace(f"{DISK}.sync_folder", lambda _disk, _path: None)


@mutant("C1.6", subtle=POWER, worlds=IN_CRASH_STATES)
def renamed_before_it_is_synced(service: Replacements) -> None:
    """Renames first and syncs then: "the order does not matter, both are done before we answer"."""

    def publish_first(disk: Any, aside: Any) -> None:
        os.rename(aside.temporary, aside.path)  # noqa: TID251 - the mistake itself
        os.fsync(aside.descriptor)

    service.replace(f"{DISK}.sync_aside", publish_first)
    service.replace(f"{DISK}.publish", _close_only)


@mutant("C1.10", subtle=POWER)
def settings_saved_in_place(service: Replacements) -> None:
    """Rewrites the file itself and syncs it: "a rename would lose its owner and mode"."""

    def write_in_place(disk: Any, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)
        disk.sync_folder(Path(path).parent)

    service.replace(f"{DISK}.write_atomically", write_in_place)


@mutant("C1.6", subtle=POWER, worlds=IN_CRASH_STATES)
def record_rewritten_in_place(service: Replacements) -> None:
    """Writes the record under its final name, then syncs it and its folder: "one rename less"."""
    service.replace("pywats_reliability.disk:temporary_name", os.path.join)
    service.replace(f"{DISK}.publish", _close_only)


@mutant("C1.6", subtle="only a crash between the two shows it")
def deleted_before_the_answer(service: Replacements) -> None:
    """Removes the record as soon as it was read for sending: "the server will have it in a moment"."""

    async def read_and_remove(honest: Any, store: Any, record: Any) -> Any:
        body = await honest(store, record)
        os.unlink(store._folders.pending / record.name)
        return body

    service.wrap("pywats_reliability.store.report_store:ReportStore.read", read_and_remove)


@mutant("H1.1", subtle=POWER)
def another_descriptor_is_synced(service: Replacements) -> None:
    """Syncs the folder's descriptor where the file's was meant: "it is open already"."""

    def sync_folder_instead(disk: Any, aside: Any) -> None:
        descriptor = os.open(os.path.dirname(aside.path), os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    service.replace(f"{DISK}.sync_aside", sync_folder_instead)
    service.replace(f"{DISK}.sync_filesystem", lambda _disk, _folder: False)


@mutant("C1.6", subtle="only a crash while writing shows it", worlds=IN_CRASH_STATES)
def written_aside_in_sight(service: Replacements) -> None:
    """Writes aside under a name that looks like a record's: "the suffix sorts it behind the others"."""
    service.replace(
        "pywats_reliability.disk:temporary_name",
        lambda folder, name: os.path.join(folder, name.replace("_05_", "_06_")),
    )


@mutant("C1.6", subtle=POWER)
def attempts_written_in_place(service: Replacements) -> None:
    """Rewrites the sidecar of attempts in place: "it is only a counter"."""

    def write_aside(honest: Any, disk: Any, path: Any, data: bytes, **more: Any) -> Any:
        if not str(path).endswith(".history.json"):
            return honest(disk, path, data, **more)
        with open(path, "wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        return honest(disk, path, data, **more)

    service.wrap(f"{DISK}.write_aside", write_aside)


@mutant("H1.1", subtle=POWER)
def acknowledged_before_the_sync(service: Replacements) -> None:
    """Wakes the producers of a batch when it is written and renamed; the sync follows: "nobody can tell"."""

    def commit(plan: Any, batch: list[Any]) -> Any:
        yield [lambda: plan._write(batch)]
        yield [lambda: _publish_unsynced(plan, batch)]
        for write in batch:
            write.settle()
        yield [os.sync]

    service.replace("pywats_reliability.store.batches:WritePlan.__call__", commit)


def _publish_unsynced(plan: Any, batch: list[Any]) -> None:
    for write in batch:
        if write.aside:
            plan._disk.publish(write.aside, replace=write.replace)


def _close_only(_disk: Any, aside: Any, *, replace: bool = False) -> None:
    if not replace and not os.path.lexists(aside.path):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), aside.path)
    os.close(aside.descriptor)
    aside.descriptor = -1
