"""The messages of protocol 2.0 as values, and their JSON in both directions, without I/O (wats.md, 1.2 and 1.3).

* Types are strict: a field of the wrong type is refused by name, never guessed at. Unknown fields are ignored.
* Whatever bytes come, ``parse_request`` returns: a request, or the refusal to answer it with (H6.6). Invalid UTF-8,
  invalid JSON, numbers that JSON does not have, nesting without end and wrong fields all end there.
* ``parse_response`` gives data only for ``success: true``; everything else is an error or no answer at all (H3.3).
* Texts of refusals begin as upstream's do, because its clients may look at them; ours carry a ``code`` beside them.
  They never repeat what was sent, but for a command's name and a version, cut to a sane length (H3.5).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pywats_reliability.errors import (
    IPCAuthenticationError,
    IPCCommandTimeoutError,
    IPCOutcomeUnknownError,
    IPCProtocolError,
    IPCRateLimitError,
    IPCRemoteError,
    IPCUnknownCommandError,
)
from pywats_reliability.ipc.framing import ANSWER_BYTES_MAX

JSON: TypeAlias = Any
"""What JSON can carry. ``Any``, because dictionaries of narrower values would not fit a recursive type."""

PROTOCOL_VERSION = "2.0"
VERSION_MIN = (2, 0)
NESTING_MAX = 100
ECHO_MAX = 100

INVALID_JSON = "invalid_json"
BAD_REQUEST = "bad_request"
UNSUPPORTED_VERSION = "unsupported_version"
TOO_LARGE = "message_too_large"
CANCELLED = "cancelled"
INTERNAL_ERROR = "internal_error"
AUTHENTICATION = IPCAuthenticationError.code
RATE_LIMITED = IPCRateLimitError.code
UNKNOWN_COMMAND = IPCUnknownCommandError.code
PROCESSING_TIMEOUT = IPCCommandTimeoutError.code
OUTCOME_UNKNOWN = IPCOutcomeUnknownError.code

_CODES_BY_BEGINNING = {
    "Protocol version ": UNSUPPORTED_VERSION,
    "Rate limit exceeded": RATE_LIMITED,
    "Authentication required": AUTHENTICATION,
    "Token required": AUTHENTICATION,
    "Invalid token": AUTHENTICATION,
    "Unknown command": UNKNOWN_COMMAND,
    "Invalid JSON": INVALID_JSON,
    "Request processing timeout": PROCESSING_TIMEOUT,
}
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says first, at once. ``requires_auth`` is the server's own to set."""

    server_version: str
    instance_id: str
    requires_auth: bool = False
    capabilities: tuple[str, ...] = ()
    protocol_version: str = PROTOCOL_VERSION

    def encode(self) -> bytes:
        """Return the body of the hello frame."""
        return _encoded(
            {
                "protocol_version": self.protocol_version,
                "server_version": self.server_version,
                "instance_id": self.instance_id,
                "requires_auth": self.requires_auth,
                "capabilities": list(self.capabilities),
            }
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Its ``repr`` leaves the arguments out: they may be a token or a report."""

    command: str
    args: dict[str, Any] = field(default_factory=dict, repr=False)
    request_id: str = ""

    def encode(self) -> bytes:
        """Return the body of the request's frame; raises ``TypeError`` or ``ValueError`` for what JSON cannot carry."""
        return _encoded(
            {
                "command": self.command,
                "request_id": self.request_id,
                "protocol_version": PROTOCOL_VERSION,
                "args": self.args,
            }
        )


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: data, or an error with its ``code`` (``None`` where the server, as upstream's, has no codes)."""

    request_id: str = ""
    data: JSON = field(default=None, repr=False)
    error: str | None = None
    code: str | None = None

    @property
    def success(self) -> bool:
        """True when this is data and no error."""
        return self.error is None

    def encode(self) -> bytes:
        """Return the body of the answer's frame.

        Raises ``TypeError``, ``ValueError`` or ``RecursionError`` when the data cannot be sent: no JSON, or too large.
        """
        fields = {"success": self.success, "data": self.data, "error": self.error}
        if self.code is not None:
            fields["code"] = self.code
        body = _encoded(fields | {"request_id": self.request_id, "protocol_version": PROTOCOL_VERSION})
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError(f"answer of {len(body)} bytes, limit {ANSWER_BYTES_MAX}")
        return body


def refusal(code: str, text: str, *, request_id: str = "", data: JSON = None) -> Response:
    """Return the answer that refuses a request."""
    return Response(request_id, data, text, code)


def parse_request(body: bytes) -> Request | Response:
    """Return the request in ``body``, or the refusal to answer it with. The version is checked before the rest."""
    try:
        fields = _decoded(body)
    except ValueError as error:
        return refusal(INVALID_JSON, f"Invalid JSON: {error}")
    if not isinstance(fields, dict):
        return _bad_request("an object", fields)
    request_id = fields.get("request_id", "")
    if not isinstance(request_id, str):
        return _bad_request("request_id as a text", request_id)
    return _request(fields, request_id)


def _request(fields: dict[str, Any], request_id: str) -> Request | Response:
    version = fields.get("protocol_version", "1.0")
    if not isinstance(version, str):
        return _bad_request("protocol_version as a text", version, request_id)
    if not is_supported(version):
        text = f"Protocol version {version[:ECHO_MAX]} not supported. Minimum: {PROTOCOL_VERSION}"
        return refusal(UNSUPPORTED_VERSION, text, request_id=request_id)
    command, args = fields.get("command", ""), fields.get("args", {})
    if not isinstance(command, str):
        return _bad_request("command as a text", command, request_id)
    if not isinstance(args, dict):
        return _bad_request("args as an object", args, request_id)
    return Request(command, args, request_id)


def parse_hello(body: bytes) -> Hello:
    """Return the hello in ``body``; raises ``IPCProtocolError`` for anything else and for a version below 2.0."""
    fields = _object(body, "a hello")
    version = _text(fields, "protocol_version", "1.0")
    if not is_supported(version):
        raise IPCProtocolError(f"a server of protocol {PROTOCOL_VERSION} or newer", f"protocol {version[:ECHO_MAX]}")
    capabilities = fields.get("capabilities", [])
    if not isinstance(capabilities, list) or not all(isinstance(word, str) for word in capabilities):
        raise IPCProtocolError("capabilities as a list of texts", _kind(capabilities))
    requires_auth = fields.get("requires_auth", False)
    if not isinstance(requires_auth, bool):
        raise IPCProtocolError("requires_auth as a truth value", _kind(requires_auth))
    server_version, instance_id = _text(fields, "server_version"), _text(fields, "instance_id")
    return Hello(server_version, instance_id, requires_auth, tuple(capabilities), version)


def parse_response(body: bytes) -> Response:
    """Return the answer in ``body``; raises ``IPCProtocolError`` for whatever could be read as two different things."""
    fields = _object(body, "an answer")
    success, error = fields.get("success"), fields.get("error")
    request_id = _text(fields, "request_id")
    if error is not None and not isinstance(error, str):
        raise IPCProtocolError("error as a text or null", _kind(error))
    if success is True and error is None:
        return Response(request_id, fields.get("data"))
    if success is not False:
        raise IPCProtocolError("success as true without an error, or false", "neither")
    text = " ".join((error or "the service gave no reason").split())
    code = fields.get("code")
    return Response(request_id, None, text, code if isinstance(code, str) else code_of(text))


def code_of(text: str) -> str:
    """Return the code for an error text of a server without codes, by its stable beginning."""
    found = (code for beginning, code in _CODES_BY_BEGINNING.items() if text.startswith(beginning))
    return next(found, IPCRemoteError.code)


def is_supported(version: str) -> bool:
    """Tell whether a peer of protocol ``version`` is understood: at least 2.0, higher majors too."""
    found = re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,9})(?:\..*)?)?", version, re.DOTALL)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= VERSION_MIN


def _encoded(fields: dict[str, Any]) -> bytes:
    # ASCII escapes: an echoed half of a surrogate pair can be sent, and upstream does the same.
    return json.dumps(fields, allow_nan=False).encode("ascii")


def _decoded(body: bytes) -> JSON:
    """Return the JSON value; raises ``ValueError`` with words that do not repeat what was sent."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_finite, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, found another byte at position {error.start}") from error
    except RecursionError as error:
        raise ValueError(f"expected nesting of at most {NESTING_MAX}, found more") from error
    if _is_nested_deeper(value, NESTING_MAX):
        raise ValueError(f"expected nesting of at most {NESTING_MAX}, found more")
    return value


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("expected finite numbers, found another")
    return number


def _is_nested_deeper(value: JSON, limit: int) -> bool:
    """Walk level by level: no recursion, so that the limit is the same in every version of Python."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for container in level
            if isinstance(container, dict | list)
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _bad_request(expected: str, found: object, request_id: str = "") -> Response:
    text = f"Bad request: expected {expected}, found {_kind(found)}; see protocol {PROTOCOL_VERSION}"
    return refusal(BAD_REQUEST, text, request_id=request_id)


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        fields = _decoded(body)
    except ValueError as error:
        raise IPCProtocolError(f"{what} in JSON", f"invalid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise IPCProtocolError(f"{what} as an object", _kind(fields))
    return fields


def _text(fields: dict[str, Any], name: str, missing: str = "") -> str:
    value = fields.get(name, missing)
    if not isinstance(value, str):
        raise IPCProtocolError(f"{name} as a text", _kind(value))
    return value


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "nothing")
