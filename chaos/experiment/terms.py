"""The words of an experiment file that stand for values: durations, moments, loopback addresses, places in folders."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}
SIZES = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1_000_000, "MiB": 1024 * 1024}
LONGEST_S = 3600.0
PLACEHOLDERS = ("data", "server", "port", "here")
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min)")
_SIZE = re.compile(r"(\d+) ?(B|kB|KiB|MB|MiB)")
_AFTER = re.compile(r"after (\d+) (requests?|answers?)")
_HOLE = re.compile(r"\{([^{}]*)\}")


class When(StrEnum):
    """What a moment waits for."""

    ONCE = "at once"
    REQUESTS = "requests"
    ANSWERS = "answers"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment counted from the beginning of the workload: after ``count`` requests or answers, or ``after_s``."""

    when: When
    count: int = 0
    after_s: float = 0.0

    def __str__(self) -> str:
        if self.when is When.TIME:
            return f"{self.after_s:g} s after the workload has begun"
        if self.when is When.ONCE:
            return "as soon as the workload begins"
        what = str(self.when)[: -1 if self.count == 1 else None]
        return f"after {self.count} {what} at the server"


def measured(given: Any) -> Any:
    """Return a toxic's attribute as its number: sizes such as "512 B" in bytes, durations such as "2 s" in ms.

    Whatever is neither stays as it is.
    """
    if not isinstance(given, str):
        return given
    if found := _SIZE.fullmatch(given):
        return int(found.group(1)) * SIZES[found.group(2)]
    return round(_seconds(given) * 1000) if _DURATION.fullmatch(given) else given


def _seconds(given: Any) -> float:
    found = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise ValueError('a duration such as "200 ms", "2 s" or "1 min"')
    seconds = float(found.group(1)) * SECONDS[found.group(2)]
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"a duration above 0 and of at most {LONGEST_S / 60:g} min")
    return seconds


def _moment(given: Any) -> Moment:
    text = given if isinstance(given, str) else ""
    if text == "at once":
        return Moment(When.ONCE)
    if text == "while uploading":
        return Moment(When.REQUESTS, 1)
    if found := _AFTER.fullmatch(text):
        return Moment(When.REQUESTS if found.group(2).startswith("request") else When.ANSWERS, int(found.group(1)))
    if text.startswith("after ") and _DURATION.fullmatch(text.removeprefix("after ")):
        return Moment(When.TIME, after_s=_seconds(text.removeprefix("after ")))
    raise ValueError('a moment: "at once", "while uploading", "after 3 answers", "after 2 requests" or "after 500 ms"')


def _with_known_holes(given: str) -> str:
    unknown = [name for name in _HOLE.findall(given) if name not in PLACEHOLDERS]
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"only the placeholders {names}")
    return given


def is_loopback(host: str) -> bool:
    """Return whether that name or address means this machine and nothing else."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback_url(given: str) -> str:
    try:
        parts = urlsplit(filled(_with_known_holes(given), {"port": "1", "server": "http://127.0.0.1:1"}))
        is_good = parts.scheme == "http" and is_loopback(parts.hostname or "") and parts.port is not None
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError("a URL on a loopback address with its port, such as http://127.0.0.1:{port}/health")
    return given


def _inside_data(given: str) -> str:
    parts = PurePosixPath(given).parts
    if not parts or parts[0] != "{data}" or ".." in parts or _HOLE.findall(given) != ["data"]:
        raise ValueError('a path below the folder of the run, such as "{data}/inbox"')
    return given


def filled(text: str, values: dict[str, str]) -> str:
    """Return the text with its placeholders replaced; those without a value stay as they are."""
    return _HOLE.sub(lambda hole: values.get(hole.group(1), hole.group(0)), text)


Duration = Annotated[float, BeforeValidator(_seconds)]
At = Annotated[Moment, BeforeValidator(_moment)]
Holed = Annotated[str, AfterValidator(_with_known_holes)]
Url = Annotated[str, AfterValidator(_loopback_url)]
InData = Annotated[str, AfterValidator(_inside_data)]
