"""The two folder layouts of the public client's queues: which files are reports, in what state, and what is in them.

* The service's queue is flat: ``<stem>.queued`` → ``.processing`` → ``.completed`` or ``.error`` (and ``.error.info``
  beside it). The GUI's queue is ``pending/ sent/ failed/`` of ``.json`` envelopes whose ``data`` is the report.
* Nothing is written here, and nothing is ever opened but a regular file (H1.6). What is not understood is a stranger:
  named with the reason, and left (H1.15).
* A report keeps its bytes, also out of an envelope: they are cut out, not encoded anew. One without an id gets one that
  its contents and its file's stem give every time, so that taking it twice makes no second report (H1.5), and two
  tests that reported the very same stay two.
"""

from __future__ import annotations

import enum
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, Literal

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError, ReportInvalidError
from pywats_reliability.report import Report, parse_report

NAMESPACE = uuid.UUID("2d6bb9b0-8c0e-4b0c-9a4e-6f0c0f9d6a31")
FILE_BYTES_MAX = 80 * 1024 * 1024
"""More than the largest report and its envelope; what is larger is named and left."""
INFO_BYTES_MAX = 1024 * 1024
WORDS_MAX = 300
IMPORTED = "imported"
Layout = Literal["service", "gui"]


class State(enum.Enum):
    """What upstream says of a report."""

    QUEUED = "queued"
    FAILED = "failed"
    SENT = "sent"


SERVICE_STATES = {
    ".queued": State.QUEUED, ".processing": State.QUEUED, ".error": State.FAILED, ".completed": State.SENT,
}
GUI_STATES = {"pending": State.QUEUED, "failed": State.FAILED, "sent": State.SENT}
INFO_SUFFIX = ".error.info"


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    """A file that upstream's layout calls a report; ``name`` is relative to the folder, ``info`` the file beside it."""

    name: str
    layout: Layout
    state: State
    info: str | None = None


@dataclass(frozen=True, slots=True)
class Stranger:
    """A file that is none of the layout's, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in an upstream folder: the files in the order of their arrival, and what is no part of the queue.

    ``layouts`` are those that were found.
    """

    layouts: tuple[Layout, ...]
    files: tuple[UpstreamFile, ...]
    strangers: tuple[Stranger, ...]

    def to_take(self) -> list[UpstreamFile]:
        """Return the files that upstream has not sent."""
        return [file for file in self.files if file.state is not State.SENT]

    def count(self, state: State) -> int:
        """Return how many files are in that state."""
        return sum(file.state is state for file in self.files)


@dataclass(frozen=True, slots=True)
class UpstreamReport:
    """The report in a file, and for a failed one why upstream gave it up (from the envelope, if there is one)."""

    report: Report
    reason: str = ""


def survey(disk: Disk, folder: Path, layout: Layout | None = None) -> Survey:
    """Return what ``folder`` holds, as that layout or as those that are found in it. Raises ``DiskError``. Blocks."""
    kinds = dict(disk.list_kinds(folder))
    gui_folders = [name for name in GUI_STATES if kinds.get(name) is False]
    has_service_files = any(is_file and _service_state(name) for name, is_file in kinds.items())
    found: dict[Layout, bool] = {"service": has_service_files, "gui": bool(gui_folders)}
    layouts = tuple(name for name, there in found.items() if (there if layout is None else name == layout))
    gui = [_gui_folder(disk, folder, name) for name in gui_folders] if "gui" in layouts else []
    left = {name: kind for name, kind in kinds.items() if not (gui and name in gui_folders) and name != IMPORTED}
    files, strangers = _service_files(left) if "service" in layouts else ([], _strangers(left))
    ordered = [*_by_age(disk, folder, files), *(file for group in gui for file in group[0])]
    return Survey(layouts, tuple(ordered), (*strangers, *(s for group in gui for s in group[1])))


def read_report(disk: Disk, folder: Path, file: UpstreamFile) -> UpstreamReport:
    """Return what is in a file. Raises ``ReportInvalidError``, or ``DiskError`` when it cannot be read. Blocks."""
    contents = disk.read(folder / file.name, bytes_max=FILE_BYTES_MAX)
    found = report_in(file, contents)
    if file.info is None:
        return found
    try:
        info = disk.read(folder / file.info, bytes_max=INFO_BYTES_MAX)
    except DiskError as error:
        return UpstreamReport(found.report, f"upstream gave it up; its reason cannot be read: {error}")
    return UpstreamReport(found.report, _reason(_object(info)))


def report_in(file: UpstreamFile, contents: bytes) -> UpstreamReport:
    """Return the report in ``contents``. Raises ``ReportInvalidError``."""
    reason = "" if file.state is not State.FAILED else _reason({})
    if file.layout == "gui":
        envelope = _object(contents)
        if "data" in envelope and "pn" not in envelope:
            reason = _reason(envelope) if file.state is State.FAILED else ""
            inner = envelope["data"]
            contents = inner.encode(errors="surrogatepass") if isinstance(inner, str) else _raw_member(contents, "data")
    return UpstreamReport(_identified(contents, Path(file.name).stem), reason)


def _identified(contents: bytes, stem: str) -> Report:
    """Return the report with the id it carries, or with the one that its contents and its file's stem give."""
    try:
        report = parse_report(contents)
    except ValueError as error:  # Such as a number of 5000 digits.
        raise ReportInvalidError("JSON that can be read", type(error).__name__) from error
    if report.body == contents.removeprefix(b"\xef\xbb\xbf"):
        return report
    digest = hashlib.sha256(contents).hexdigest()
    derived = str(uuid.uuid5(NAMESPACE, f"{digest} {stem!a}"))
    return Report(derived, report.body.replace(report.id.encode(), derived.encode(), 1))


def _service_state(name: str) -> State | None:
    return SERVICE_STATES.get(Path(name).suffix.lower())


def _service_files(kinds: dict[str, bool]) -> tuple[list[UpstreamFile], list[Stranger]]:
    files, strangers = [], []
    for name, is_file in sorted(kinds.items()):
        state = _service_state(name)
        if not is_file:
            strangers.append(Stranger(name, "it is no file"))
        elif state is not None:
            info = f"{name}.info" if state is State.FAILED and kinds.get(f"{name}.info") else None
            files.append(UpstreamFile(name, "service", state, info))
        elif not (name.lower().endswith(INFO_SUFFIX) and name.removesuffix(".info") in kinds):
            strangers.append(Stranger(name, f"its name does not end in {', '.join(SERVICE_STATES)}"))
    return files, strangers


def _strangers(kinds: dict[str, bool]) -> list[Stranger]:
    return [Stranger(name, "it is not in pending/, sent/ or failed/") for name in sorted(kinds)]


def _gui_folder(disk: Disk, folder: Path, name: str) -> tuple[list[UpstreamFile], list[Stranger]]:
    files, strangers = [], []
    for file, is_file in sorted(disk.list_kinds(folder / name)):
        place = f"{name}/{file}"
        if not is_file:
            strangers.append(Stranger(place, "it is no file"))
        elif not file.lower().endswith(".json") or file.startswith("."):
            strangers.append(Stranger(place, "its name does not end in .json"))
        else:
            files.append(UpstreamFile(place, "gui", GUI_STATES[name]))
    return files, strangers


def _by_age(disk: Disk, folder: Path, files: list[UpstreamFile]) -> list[UpstreamFile]:
    """Sort by the time of the last change, as the names of the flat layout say nothing; what has gone comes last."""

    def age(file: UpstreamFile) -> tuple[float, str]:
        try:
            return disk.look(folder / file.name).modified_ns, file.name
        except DiskError:
            return float("inf"), file.name

    return sorted(files, key=age)


def _object(contents: bytes) -> dict[str, Any]:
    """Return the JSON object in ``contents``, or an empty one: what is wrong with it is told by the report's rules."""
    try:
        value = json.loads(contents.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _reason(told: dict[str, Any]) -> str:
    error, attempts = told.get("error"), told.get("attempts")
    words = " ".join(error.split())[:WORDS_MAX] if isinstance(error, str) else "no reason given"
    times = f" after {attempts} attempts" if type(attempts) is int else ""
    return f"upstream gave it up{times}: {words}"


def _raw_member(contents: bytes, wanted: str) -> bytes:
    """Return the very bytes of a member's value in a JSON object (of the last, where a key stands twice)."""
    text = contents.decode("utf-8-sig")
    return [text[start:end] for key, start, end in _members(text) if key == wanted][-1].encode()


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each member of the object in valid JSON, as its key and where its value begins and ends."""
    decoder = json.JSONDecoder()
    at = _after_blanks(text, text.index("{") + 1)
    while text[at] == '"':
        key, at = scanstring(text, at + 1)
        start = _after_blanks(text, _after_blanks(text, at) + 1)  # One step over the colon.
        _, end = decoder.raw_decode(text, start)
        yield key, start, end
        at = _after_blanks(text, end)
        at = _after_blanks(text, at + 1) if text[at] == "," else at


def _after_blanks(text: str, at: int) -> int:
    match = WHITESPACE.match(text, at)
    return int(match.end())
