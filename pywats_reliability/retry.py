"""What an answer means for a report, and how long to wait after none: values in, values out, no clock and no I/O.

* Proof of receipt (H1.13): a whole 2xx that names this report's id (``[{"ID"}]``, ``{"ID"|"id"|"uuid"}``, a JSON text),
  or that is empty and says so itself (204, ``Content-Length: 0``, a finished chunked body). Everything else under 2xx
  is none: another id, HTML, an object with words of error, a list without us, an answer that breaks off or is simply
  closed after its headers. When in doubt the report is sent again: its id makes that harmless (H1.5).
* Refused for good (H1.7): 400, 404, 413, 422, and 409 unless the server's words say that it is the *report* which is
  there already. "Duplicate serial number" is a rejection: taking it for a receipt would lose the report.
* 401, 403 and 407 are about our credentials, not about the report: no attempt is lost.
* Everything else, also a 4xx that nobody foresaw, is tried again: a proxy or an update in progress heals by itself, and
  what does not ends in ``failed/`` with the server's words after the last attempt. Neither way loses the report.
* Waiting (H1.3): exponential, full jitter, a cap: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015,
  https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. ``Retry-After`` is counted from the
  answer's own ``Date``, so that a wrong clock on this computer cannot matter (H1.12).
* The server's words are one short line, without what proves us to it or to a proxy, and without what the report
  says (H3.5).
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit
from uuid import UUID

from pywats_reliability.answers import Decision, PauseForCredentials, Rejected, RetryLater, Sent
from pywats_reliability.ports import Randomness

RETRY_AFTER_MAX_S = 3600.0
WORDS_LENGTH_MAX = 200
SCRUBBED_BYTES_MAX = 4 * 1024 * 1024

_REFUSED_FOR_GOOD = (400, 404, 413, 422)
_CREDENTIALS = (401, 403, 407)
_DOUBLINGS_MAX = 60  # Beyond any cap, and still a number that a float can carry.
_ID_NAMES = ("ID", "id", "uuid")
_WORD_NAMES = ("message", "Message", "error")
_WITHHELD = "[withheld]"
_UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
_SIGNED_IN = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_ALREADY = r"already\s+(?:exists?|there|known|present|received|submitted|registered|stored|uploaded)"
_THERE_ALREADY = re.compile(
    rf"""^\W*(?:conflict\W+)?(?:duplicated?|{_ALREADY})\W*$
    | \bduplicated?\W+(?:report|id|uuid|guid)\b(?!\W+(?:in|of|for|name|number)\b)
    | \b(?:report|id|uuid|guid)\b(?:\W+(?:with|the|this|that|same|given|an?|id|uuid|guid|has|been|is|was))*
      \W+(?:{_ALREADY}\b|already\s+been\b|duplicated?\b|exists\W*$)""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Backoff:
    """The schedule of one report: the limit doubles from ``interval_s`` up to ``cap_s``."""

    interval_s: float
    cap_s: float

    def limit_s(self, attempt: int) -> float:
        """Return the longest wait after failed attempt number ``attempt`` (the first is 1)."""
        doublings = min(max(attempt - 1, 0), _DOUBLINGS_MAX)
        return min(self.cap_s, self.interval_s * 2.0**doublings)

    def delay_s(self, attempt: int, randomness: Randomness, not_before_s: float | None = None) -> float:
        """Return the wait after failed attempt number ``attempt``: the server's wish, and anything up to the limit."""
        return (not_before_s or 0.0) + randomness.uniform(0.0, self.limit_s(attempt))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in lower case; ``complete`` is false when the body broke off or was too long."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = True

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes{'' if self.complete else ', cut short'})"


@dataclass(frozen=True, slots=True)
class Request:
    """What was sent, as far as an answer must be compared with it; its ``repr`` shows neither secret nor contents.

    ``withheld``: what else no text may show, sent or not, such as the password for a proxy that was not asked.
    """

    report_id: str
    body: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    proxy_token: str = field(default="", repr=False)
    withheld: tuple[str, ...] = field(default=(), repr=False)


def decide(answer: Answer, request: Request, *, now: datetime) -> Decision:
    """Return what ``answer`` means for the report. ``now`` (UTC) counts only for a Retry-After date without a Date."""
    status = answer.status
    if status in _CREDENTIALS:
        return PauseForCredentials(server_said(answer, request))
    if status == HTTPStatus.CONFLICT and not answer.complete:
        return RetryLater(server_said(answer, request))  # Half a sentence may say the opposite of the whole one.
    if status == HTTPStatus.CONFLICT and _is_duplicate(_words(answer), request.report_id):
        return Sent(duplicate=True)
    if status in (*_REFUSED_FOR_GOOD, HTTPStatus.CONFLICT):
        return Rejected(server_said(answer, request))
    problem = _missing_proof(answer, request) if 200 <= status < 300 else server_said(answer, request)
    return RetryLater(problem, retry_after_s(answer.headers, now)) if problem else Sent()


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the server's wish in seconds from now, at most an hour; ``None`` when there is none that can be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return RETRY_AFTER_MAX_S if len(text) > 9 else min(float(text), RETRY_AFTER_MAX_S)
    until = _instant(text)
    if until is None:
        return None
    since = _instant(headers.get("date", "")) or now
    return min(max((until - since).total_seconds(), 0.0), RETRY_AFTER_MAX_S)


def server_said(answer: Answer, request: Request) -> str:
    """Return status and words of an answer in one line, short, without the token and without the report's contents."""
    if 300 <= answer.status < 400:
        target = _scrubbed(_without_query(answer.headers.get("location", "")), request)
        return f"expected an answer, found a redirect ({answer.status}) to {target}; check service_address"
    words = _scrubbed(_words(answer), request)
    return f"the server answered {answer.status} {_phrase(answer.status)}" + (f": {words}" if words else "")


def scrub(text: str, request: Request) -> str:
    """Return ``text`` without the tokens for server and proxy, and without the user names and passwords in them.

    They are found as they are and as a URL, JSON or HTML writes them; so is whoever signs in within a URL.
    """
    secrets = _secrets(request.token) | _secrets(request.proxy_token) | {s for s in request.withheld if len(s) >= 3}
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _WITHHELD)
    return _SIGNED_IN.sub(rf"\1{_WITHHELD}@", text)


def _missing_proof(answer: Answer, request: Request) -> str | None:
    """Return ``None`` when the 2xx ``answer`` proves receipt, and otherwise what stands in the way."""
    found = _not_a_receipt(answer) if answer.body else _not_empty_by_framing(answer)
    if found is None and (not answer.body or _receipt_names(answer.body, request.report_id)):
        return None
    found = found or "JSON that does not name it"
    return f"expected a receipt for this report, found {found} under {answer.status}; it will be sent again"


def _not_a_receipt(answer: Answer) -> str | None:
    if not answer.complete:
        return "an answer that breaks off"
    if answer.status > 204:  # 205 to 226 are about parts and lists of things: never how a report is received.
        return "a status that no receipt has"
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return "a compressed answer, though none was asked for"
    if _is_html(answer):
        return "an HTML page (a login or a proxy?)"
    return None if _json(answer.body) is not _NO_JSON else "an answer that is not JSON"


def _not_empty_by_framing(answer: Answer) -> str | None:
    """Return ``None`` when an answer without body says itself that it has none; a closed connection says nothing."""
    said = answer.headers.get("content-length", "").strip() == "0" or "transfer-encoding" in answer.headers
    if answer.complete and not _is_html(answer) and (answer.status == 204 or (said and answer.status < 204)):
        return None
    return "an empty answer that does not say it is whole"


def _receipt_names(body: bytes, report_id: str) -> bool:
    value = _json(body)
    return any(_names(entry, report_id) for entry in (value if isinstance(value, list) else [value]))


def _names(entry: object, report_id: str) -> bool:
    """Tell whether one entry of a receipt names the report, and does not speak of an error in the same breath."""
    if isinstance(entry, dict):
        if any(entry.get(name) for name in _WORD_NAMES) or entry.get("success") is False:
            return False
        return any(_same_id(entry.get(name), report_id) for name in _ID_NAMES)
    return _same_id(entry, report_id)


def _same_id(found: object, report_id: str) -> bool:
    try:
        return isinstance(found, str) and UUID(found) == UUID(report_id)
    except ValueError:
        return False


def _is_duplicate(words: str, report_id: str) -> bool:
    """Tell whether a 409's words say that this very report is there already; a number of ids must include ours."""
    ids = _UUID.findall(words)
    if ids and not any(_same_id(found, report_id) for found in ids):
        return False
    return _THERE_ALREADY.search(_UUID.sub("id", words)) is not None


def _words(answer: Answer) -> str:
    """Return the server's own words: the message of a JSON object, the title of a page, or the text, in one line."""
    value = _json(answer.body)
    text = answer.body[:4096].decode(errors="replace")
    if isinstance(value, dict):
        inner = value.get("error")
        sources = (value, inner) if isinstance(inner, dict) else (value,)
        text = next((s[n] for s in sources for n in _WORD_NAMES if isinstance(s.get(n), str) and s[n]), "")
    elif isinstance(value, str):
        text = value
    elif _is_html(answer) or text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        text = title.group(1) if title else "an HTML page"
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _scrubbed(words: str, request: Request) -> str:
    if len(words) > 4 * WORDS_LENGTH_MAX:  # The last word goes too: half a secret could not be recognised.
        words = words[: 4 * WORDS_LENGTH_MAX].rpartition(" ")[0]
    words = scrub(_without_contents(words, request), request)
    return words if len(words) <= WORDS_LENGTH_MAX else words[: WORDS_LENGTH_MAX - 1] + "…"


def _without_contents(words: str, request: Request) -> str:
    """Return ``words`` without the values of the report that the server quotes; field names and our id may stay."""
    if len(request.body) > SCRUBBED_BYTES_MAX:
        return _WITHHELD if words else ""  # Comparing would hold up everybody else.
    values = {v for v in _texts_in(_json(request.body)) if len(v) >= 4 and not _same_id(v, request.report_id)}
    for value in sorted(values, key=len, reverse=True):
        if value in words:
            words = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", _WITHHELD, words)
    quoted = "\n".join(sorted(values))
    return " ".join(_WITHHELD if _is_part(word, quoted) else word for word in words.split(" "))


def _is_part(word: str, quoted: str) -> bool:
    """Tell whether a word with a digit (a serial number, a key) is a part of some value of the report."""
    core = word.strip("'\"`.,;:!?()[]{}<>=")
    return len(core) >= 4 and any(c.isdigit() for c in core) and core in quoted


def _texts_in(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield " ".join(item.split())
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _secrets(token: str) -> set[str]:
    try:
        pair = base64.b64decode(token, validate=True).decode()
    except ValueError:
        pair = ""
    return {secret for secret in (token, pair, *pair.split(":", 1)) if len(secret) >= 3}


def _forms(secret: str) -> tuple[str, ...]:
    """Return what becomes of a secret where somebody quotes it."""
    quoted = quote(secret, errors="replace"), quote(secret, "", errors="replace"), quote_plus(secret, errors="replace")
    written = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret)
    return (secret, *quoted, *written, base64.b64encode(secret.encode()).decode())


_NO_JSON = object()


def _json(body: bytes) -> Any:
    """Return the JSON value in ``body``, or ``_NO_JSON``."""
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return _NO_JSON


def _is_html(answer: Answer) -> bool:
    return "html" in answer.headers.get("content-type", "").lower()


def _instant(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(unknown status)"


def _without_query(location: str) -> str:
    """Return where a redirect leads without what may be a secret: user, password, query and fragment."""
    try:
        parts = urlsplit(location)
        host = parts.netloc.rpartition("@")[2]
        shown = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    except ValueError:
        shown = ""
    return "".join(c for c in shown if c.isprintable())[:WORDS_LENGTH_MAX] or "nowhere"
