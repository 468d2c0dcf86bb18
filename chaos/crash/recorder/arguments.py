"""Arguments as strace prints them (with ``-xx -y``): descriptors with their paths, hexadecimal strings, lists."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache

_BRACKET_OR_COMMA = re.compile(r"[\[\](){}]|, ")
_DESCRIPTOR = re.compile(r"(-?\d+|AT_FDCWD)(?:<([^>]*)>(\(deleted\))?)?")
_HEXADECIMAL = re.compile(r"(?:\\x[0-9a-f]{2})+")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PARTS = re.compile(r'iov_base="((?:\\x[0-9a-f]{2})*)"')
_PORT = re.compile(r"(?:sin6?_port)=htons\((\d+)\)")
_ADDRESS = re.compile(r'inet_(?:addr|pton)\((?:AF_INET6, )?"((?:\\x[0-9a-f]{2})*)"')
_SOCKET_PATH = re.compile(r'sun_path=@?"((?:\\x[0-9a-f]{2})*)"')
CURRENT_FOLDER = "AT_FDCWD"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor as the kernel knew it at the call: its number (None: the current folder), and what it leads to."""

    number: int | None
    target: str
    deleted: bool


def split_arguments(text: str) -> list[str]:
    """Return the arguments of a call; those under way may end in the middle."""
    if "[" not in text and "{" not in text and "(" not in text:
        return [part.strip() for part in text.split(", ")] if text.strip() else []
    parts, depth, start = [], 0, 0
    for found in _BRACKET_OR_COMMA.finditer(text):
        sign = found.group()
        if sign == ", ":
            if depth == 0:
                parts.append(text[start : found.start()].strip())
                start = found.end()
        else:
            depth += 1 if sign in "[({" else -1
    return [*parts, text[start:].strip()]


def unhex(text: str) -> bytes:
    r"""Return the bytes of ``\x61\x62``."""
    return bytes.fromhex(text.replace("\\x", ""))


def data_of(argument: str) -> bytes | None:
    """Return the bytes of a quoted argument, or None when the trace shows an address only."""
    found = _STRING.match(argument)
    return unhex(found.group(1)) if found else None


def name_of(argument: str) -> str:
    """Return the text of a quoted path. Raises ``ValueError`` when there is none."""
    data = data_of(argument)
    if data is None:
        raise ValueError(f"expected a path in the trace, found {argument[:40]!r}")
    return os.fsdecode(data)


def parts_of(argument: str) -> bytes:
    """Return the bytes of a list of buffers, one after the other."""
    return b"".join(unhex(part) for part in _PARTS.findall(argument))


@lru_cache(4096)
def descriptor(argument: str) -> Descriptor | None:
    """Return a descriptor with its path, or None when the argument is none."""
    found = _DESCRIPTOR.match(argument)
    if found is None:
        return None
    number, target, deleted = found.groups()
    path = _HEXADECIMAL.sub(lambda hexadecimal: os.fsdecode(unhex(hexadecimal.group())), target or "")
    return Descriptor(None if number == CURRENT_FOLDER else int(number), path, bool(deleted))


def number_of(argument: str) -> int:
    """Return a number as the trace prints it: decimal, octal with a leading 0, hexadecimal."""
    word = argument.split(" ", 1)[0].split("<", 1)[0]
    return int(word, 8) if len(word) > 1 and word[0] == "0" and word.isdigit() else int(word, 0)


def address_of(argument: str) -> str:
    """Return a socket address in words: ``127.0.0.1:80`` or the path of a unix socket; empty when there is none."""
    if path := _SOCKET_PATH.search(argument):
        return os.fsdecode(unhex(path.group(1)))
    port, address = _PORT.search(argument), _ADDRESS.search(argument)
    if port is None or address is None:
        return ""
    host = unhex(address.group(1)).decode()
    return f"[{host}]:{port.group(1)}" if ":" in host else f"{host}:{port.group(1)}"
