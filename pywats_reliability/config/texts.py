"""What a text must be to do no harm: one small check for each kind, which returns the text or raises ``ValueError``.

* Control characters are refused in every text: NUL ends a path inside the operating system, line breaks forge log lines
  and HTTP headers, escape sequences speak to terminals. Only prose may have tabs and line breaks.
* Text of blanks only is refused: it looks empty and is not.
* A URL has no user or password in it: it would be shown where a secret must not be.
* The mask is refused as a secret: a masked configuration that comes back must not become the token.

The words for people are in ``kinds``; these checks carry none, so that no message can quote a text by accident.
"""

from __future__ import annotations

import re

from pydantic import HttpUrl, TypeAdapter

from pywats_reliability.config.given import MASK

CURRENT_SCHEMA_VERSION = "2.0"
MIN_SCHEMA_VERSION = "1.0"
SOCKET_PATH_BYTES_MAX = 103

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_PROSE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NOT_IN_FILE_NAMES = re.compile(r'[/\\:*?"<>|]')
_HOST = re.compile(r"[^\s/@?#\\]+")
_URL = re.compile(r"https?://[^\s/?#\\@]+([/?#][^\s\\]*)?", re.IGNORECASE)
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_HTTP_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)


def _require(holds: object) -> None:
    if not holds:
        raise ValueError("the text breaks its rule")


def line(text: str) -> str:
    """One line, empty or with something to see."""
    _require(not _CONTROL.search(text) and (not text or text.strip()))
    return text


def prose(text: str) -> str:
    """Any number of lines."""
    _require(not _CONTROL_IN_PROSE.search(text))
    return text


def file_name_part(text: str) -> str:
    """Characters that may stand in a file name on every system."""
    _require(text.strip() == text and not text.startswith(".") and not _NOT_IN_FILE_NAMES.search(text))
    return line(text)


def socket_path(text: str) -> str:
    """A path that fits into the address of a unix socket."""
    _require(len(text.encode()) <= SOCKET_PATH_BYTES_MAX)
    return line(text)


def host(text: str) -> str:
    """A host name or an address, or empty."""
    _require(not text or _HOST.fullmatch(text))
    return line(text)


def url(text: str) -> str:
    """An http(s) URL with a host, or empty."""
    if text:
        _require(_URL.fullmatch(line(text)))
        _HTTP_URL.validate_python(text)
    return text


def base_url(text: str) -> str:
    """A URL to which paths are added, or empty."""
    _require("?" not in text and "#" not in text)
    return url(text)


def secret(text: str) -> str:
    """A password of any characters that can be typed."""
    _require(text != MASK and not _CONTROL.search(text))
    return text


def token(text: str) -> str:
    """Visible ASCII without blanks: it goes into an HTTP header."""
    _require(all("!" <= character <= "~" for character in text))
    return secret(text)


def header_value(text: str) -> str:
    """Visible ASCII, blanks inside."""
    _require(all(" " <= character <= "~" for character in text) and text.strip() == text)
    return secret(text)


def version_numbers(text: str) -> tuple[int, int]:
    """Return the two numbers of a version such as ``2.0``."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError("not a version")
    return int(match[1]), int(match[2])


def is_newer_version(text: str) -> bool:
    """Tell whether a version that this program can read is of a newer minor number than its own."""
    return version_numbers(text) > version_numbers(CURRENT_SCHEMA_VERSION)


def lifted_version(text: str) -> str:
    """Return a version that this program writes: 1.x has the same settings and becomes 2.0."""
    version, current = version_numbers(text), version_numbers(CURRENT_SCHEMA_VERSION)
    _require(version_numbers(MIN_SCHEMA_VERSION) <= version and version[0] <= current[0])
    return text if version >= current else CURRENT_SCHEMA_VERSION
