"""From answer to decision, as one table; how long to wait; and what may be told (H1.3, H1.7, H1.12, H1.13, H3.5)."""

from __future__ import annotations

import base64
import html
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_reliability.answers import PauseForCredentials, Rejected, RetryLater, Sent
from pywats_reliability.retry import (
    RETRY_AFTER_MAX_S,
    WORDS_LENGTH_MAX,
    Answer,
    Backoff,
    Request,
    decide,
    retry_after_s,
)

OURS = "7f3a1c52-9b1e-4c55-8f0e-1d2c3b4a5968"
OTHER = "00000000-1111-4222-8333-444444444444"
TOKEN = base64.b64encode(b"operator:correct horse").decode()
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REQUEST = Request(OURS, json.dumps({"id": OURS, "sn": "SN-0042-X", "comment": "confidential remark"}).encode(), TOKEN)
JSON = {"content-type": "application/json; charset=utf-8"}
HTML = {"content-type": "text/html"}
EMPTY = {"content-length": "0"}

RECEIPTS = {
    "a list with our ID": (200, JSON, f'[{{"ID":"{OURS}"}}]'),
    "a list in which we are one of several": (200, JSON, f'[{{"ID":"{OTHER}"}},{{"ID":"{OURS}"}}]'),
    "an object with our ID": (200, JSON, f'{{"ID":"{OURS}"}}'),
    "an object with our id": (200, JSON, f'{{"id":"{OURS}"}}'),
    "an object with our uuid": (201, JSON, f'{{"uuid":"{OURS}"}}'),
    "our id as a JSON text": (200, JSON, f'"{OURS}"'),
    "our id in capitals and braces": (200, JSON, f'{{"ID":"{{{OURS.upper()}}}"}}'),
    "our id after a byte order mark": (200, JSON, f'\ufeff"{OURS}"'),
    "our id without a content type": (200, {}, f'"{OURS}"'),
    "no content": (204, {}, ""),
    "an empty body that says so": (200, EMPTY, ""),
    "an empty body in chunks": (200, {"transfer-encoding": "chunked"}, ""),
    "accepted, empty": (202, EMPTY, ""),
}  # fmt: skip

NO_RECEIPTS: dict[str, tuple[int, dict[str, str], str | bytes, str]] = {
    "another id in a list": (200, JSON, f'[{{"ID":"{OTHER}"}}]', "does not name it"),
    "another id as a text": (200, JSON, f'"{OTHER}"', "does not name it"),
    "a text that is no id": (200, JSON, '"ok"', "does not name it"),
    "an empty list": (200, JSON, "[]", "does not name it"),
    "an empty object": (200, JSON, "{}", "does not name it"),
    "null": (200, JSON, "null", "does not name it"),
    "a number": (200, JSON, "42", "does not name it"),
    "an id that is a number": (200, JSON, '{"id":42}', "does not name it"),
    "an error object": (200, JSON, '{"error":"out of memory"}', "does not name it"),
    "an error object that names us": (200, JSON, f'{{"ID":"{OURS}","error":"not saved"}}', "does not name it"),
    "a message beside our id": (200, JSON, f'[{{"ID":"{OURS}","Message":"not saved"}}]', "does not name it"),
    "no success beside our id": (200, JSON, f'{{"ID":"{OURS}","success":false}}', "does not name it"),
    "a login page": (200, HTML, "<html><title>Sign in</title></html>", "HTML"),
    "our id on a page": (200, HTML, f'"{OURS}"', "HTML"),
    "an empty page": (200, HTML | EMPTY, "", "does not say it is whole"),
    "HTML that claims to be JSON": (200, JSON, "<html></html>", "not JSON"),
    "half of the JSON": (200, JSON, f'[{{"ID":"{OURS}"', "not JSON"),
    "bytes that are no text": (200, JSON, b"\xff\xfe\x00", "not JSON"),
    "nesting without end": (200, JSON, "[" * 200_000, "not JSON"),
    "a number too long to be one": (200, JSON, "9" * 10_000, "not JSON"),
    "a compressed answer": (200, JSON | {"content-encoding": "gzip"}, f'"{OURS}"', "compressed"),
    "headers and then a closed connection": (200, JSON, "", "does not say it is whole"),
    "a part of something": (206, JSON, f'"{OURS}"', "no receipt"),
    "an empty part of something": (206, EMPTY, "", "does not say it is whole"),
    "several statuses": (207, JSON, f'[{{"ID":"{OURS}"}}]', "no receipt"),
}  # fmt: skip

LATER = (100, 300, 301, 302, 303, 304, 307, 308, 402, 405, 406, 408, 410, 411, 412, 414, 415, 418, 423, 425, 426, 429,
         431, 451, 499, 500, 501, 502, 503, 504, 507, 511, 520, 599, 999)  # fmt: skip

DUPLICATES = (
    "duplicate",
    "Conflict: duplicate.",
    "Already exists",
    "Duplicate report",
    "duplicate id",
    f"Report {OURS} already exists",
    f"A report with id {OURS} has been submitted; report {OURS} already received",
    "A report with the same id already exists.",
    "The report has already been received",
    "Report with this UUID exists",
)
OTHER_CONFLICTS = (
    "",
    "conflict",
    "locked by another user",
    f"Report {OTHER} already exists",
    "Duplicate serial number",
    "Serial number already exists",
    "Report has an already closed batch",
    "duplicate id in miscInfos",
    "Duplicate step name in report",
    "The report was not accepted: batch already closed",
    "The report was not already received",
)


def answer(status: int, body: str | bytes = b"", headers: Mapping[str, str] = JSON, *, complete: bool = True) -> Answer:
    return Answer(status, headers, body.encode() if isinstance(body, str) else body, complete)


def reason_of(found: Answer, request: Request = REQUEST) -> str:
    decision = decide(found, request, now=NOW)
    assert not isinstance(decision, Sent)
    return decision.reason


@pytest.mark.proves("H1.13")
@pytest.mark.parametrize("case", RECEIPTS)
def test_a_receipt_is_proof(case: str) -> None:
    status, headers, body = RECEIPTS[case]
    assert decide(answer(status, body, headers), REQUEST, now=NOW) == Sent()


@pytest.mark.proves("H1.13")
@pytest.mark.parametrize("case", RECEIPTS)
def test_a_receipt_that_breaks_off_is_no_proof(case: str) -> None:
    status, headers, body = RECEIPTS[case]
    assert isinstance(decide(answer(status, body, headers, complete=False), REQUEST, now=NOW), RetryLater)


@pytest.mark.proves("H1.13")
@pytest.mark.parametrize("case", NO_RECEIPTS)
def test_anything_else_under_2xx_is_no_proof_and_says_why(case: str) -> None:
    status, headers, body, why = NO_RECEIPTS[case]
    decision = decide(answer(status, body, headers), REQUEST, now=NOW)
    assert isinstance(decision, RetryLater)
    assert why in decision.reason


@pytest.mark.proves("H1.7")
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
@pytest.mark.parametrize(
    "body", ['{"message":"no good"}', '{"Message":"no good"}', '{"error":"no good"}', '{"error":{"message":"no good"}}',
             '"no good"', "no good", "<html><title>no\n good</title><p>x</html>"],
)  # fmt: skip
def test_a_refusal_is_for_good_and_carries_the_servers_words(status: int, body: str) -> None:
    decision = decide(answer(status, body, {}), REQUEST, now=NOW)
    assert isinstance(decision, Rejected)
    assert decision.reason.startswith(f"the server answered {status} ")
    assert decision.reason.endswith(": no good")


@pytest.mark.proves("H1.7")
@pytest.mark.parametrize("status", [401, 403, 407])
def test_refused_credentials_pause(status: int) -> None:
    assert isinstance(decide(answer(status, '{"message":"who?"}'), REQUEST, now=NOW), PauseForCredentials)


@pytest.mark.proves("H1.3")
@pytest.mark.parametrize("status", LATER)
def test_every_other_status_is_tried_again(status: int) -> None:
    assert isinstance(decide(answer(status, f'[{{"ID":"{OURS}"}}]'), REQUEST, now=NOW), RetryLater)


@pytest.mark.proves("H1.7")
@pytest.mark.parametrize("words", DUPLICATES)
def test_a_409_that_says_the_report_is_there_counts_as_sent(words: str) -> None:
    assert decide(answer(409, json.dumps({"message": words})), REQUEST, now=NOW) == Sent(duplicate=True)


@pytest.mark.proves("H1.7")
@pytest.mark.parametrize("words", OTHER_CONFLICTS)
def test_a_409_that_says_anything_else_is_a_refusal(words: str) -> None:
    assert isinstance(decide(answer(409, json.dumps({"message": words})), REQUEST, now=NOW), Rejected)


def test_half_a_409_is_tried_again() -> None:
    """The words may go on with what they are a duplicate of."""
    assert isinstance(decide(answer(409, "duplicate", complete=False), REQUEST, now=NOW), RetryLater)


@pytest.mark.parametrize(("status", "kind"), [(422, Rejected), (401, PauseForCredentials), (503, RetryLater)])
def test_a_status_holds_even_if_its_words_break_off(status: int, kind: type) -> None:
    assert isinstance(decide(answer(status, "hal", complete=False), REQUEST, now=NOW), kind)


def test_a_redirect_is_named_without_what_may_be_secret() -> None:
    target = "https://user:pass@login.example/start?ticket=abc#x"
    assert " to https://login.example/start;" in reason_of(answer(302, headers={"location": target}))


@pytest.mark.proves("H1.3")
@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 120 "}, 120),
        ({"retry-after": "999999"}, RETRY_AFTER_MAX_S),
        ({"retry-after": "9" * 5000}, RETRY_AFTER_MAX_S),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Monday, 23-Nov-26 12:00:30 GMT"}, 30),
        ({"retry-after": "Mon Nov 23 12:00:30 2026"}, 30),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Tue, 23 Nov 2027 12:00:00 GMT"}, RETRY_AFTER_MAX_S),
        ({"retry-after": "Mon, 99 Nov 2026 12:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(headers: dict[str, str], wish: float | None) -> None:
    assert retry_after_s(headers, NOW) == wish


@pytest.mark.proves("H1.12")
@pytest.mark.parametrize("wrong_by", [timedelta(days=-3650), timedelta(0), timedelta(days=3650)])
def test_a_retry_after_date_counts_from_the_answers_own_date(wrong_by: timedelta) -> None:
    """A wrong clock on this computer cannot matter (H1.12)."""
    headers = {"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert retry_after_s(headers, NOW + wrong_by) == 60


@pytest.mark.parametrize("status", [200, 408, 429, 500, 503])
def test_the_servers_wish_is_passed_on(status: int) -> None:
    decision = decide(answer(status, "busy", {"retry-after": "7"}), REQUEST, now=NOW)
    assert isinstance(decision, RetryLater)
    assert decision.not_before_s == 7


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_retry_after_can_raise_or_exceed_its_bound(text: str) -> None:
    wish = retry_after_s({"retry-after": text, "date": text[::-1]}, NOW)
    assert wish is None or 0 <= wish <= RETRY_AFTER_MAX_S


@given(
    st.integers(100, 999),
    st.dictionaries(st.sampled_from(["content-type", "location", "content-length"]), st.text()),
    st.binary() | st.text().map(str.encode),
    st.booleans(),
)
def test_no_answer_can_raise_and_every_reason_is_one_short_line(
    status: int, headers: dict[str, str], body: bytes, complete: bool
) -> None:
    decision = decide(Answer(status, headers, body, complete), REQUEST, now=NOW)
    reason = "" if isinstance(decision, Sent) else decision.reason
    assert reason.isprintable()
    assert len(reason) < WORDS_LENGTH_MAX + 120


@pytest.mark.proves("H1.3")
def test_the_limit_of_the_wait_doubles_up_to_the_cap() -> None:
    backoff = Backoff(30.0, 600.0)
    assert [backoff.limit_s(attempt) for attempt in range(1, 8)] == [30, 60, 120, 240, 480, 600, 600]


@pytest.mark.proves("H1.3")
def test_the_wait_is_spread_over_its_whole_limit() -> None:
    backoff, source = Backoff(30.0, 600.0), random.Random(1)
    waits = [backoff.delay_s(3, source) for _ in range(1000)]
    assert min(waits) < 2
    assert 118 < max(waits) <= 120


def test_the_wait_is_never_shorter_than_the_servers_wish() -> None:
    backoff, source = Backoff(30.0, 600.0), random.Random(1)
    assert min(backoff.delay_s(1, source, 100.0) for _ in range(100)) >= 100


def test_a_million_attempts_wait_no_longer_than_the_cap() -> None:
    assert Backoff(30.0, 600.0).limit_s(1_000_000) == 600


@pytest.mark.parametrize(
    "secret",
    [TOKEN, "operator", "correct horse", "operator:correct horse", "SN-0042-X", "0042-X", "confidential remark"],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 503])
@pytest.mark.parametrize("form", ["bad {} here", "'{}'", "<html><title>[{}]</title></html>", '{{"message":"x {}"}}'])
def test_no_reason_carries_the_token_or_what_the_report_says(secret: str, status: int, form: str) -> None:
    assert secret not in reason_of(answer(status, form.format(secret), {}))


@pytest.mark.parametrize(
    "values", [{"comment": "Grüße 4711"}, {"a": [{"b": ["Grüße 4711"]}]}, {"x": 'say "Grüße 4711"'}]
)
def test_what_the_report_says_is_found_however_it_is_escaped(values: dict[str, Any]) -> None:
    request = Request(OURS, json.dumps(values).encode())
    assert "4711" not in reason_of(answer(422, "Grüße 4711 is no part"), request)


def test_field_names_and_our_id_stay_in_the_servers_words() -> None:
    words = f"comment of {OURS} is too long"
    assert reason_of(answer(422, words)).endswith(words)


def test_words_are_cut_and_nothing_half_a_secret_is_left_at_the_cut() -> None:
    """A secret that begins before the cut and ends behind it would not be recognised in half."""
    token = base64.b64encode(b"operator:" + bytes(range(100))).decode()
    quoted = " ".join([token] * 20)  # Withholding shortens it, so that the end of what is looked at comes into view.
    for shift in range(len(token)):
        assert token[:4] not in reason_of(answer(400, "z " * shift + quoted), Request(OURS, b"{}", token))


def test_a_report_too_large_to_compare_keeps_the_words_back() -> None:
    request = Request(OURS, b'{"sn":"' + b"9" * 5_000_000 + b'"}')
    assert reason_of(answer(413, "9999 is too large"), request).endswith(": [withheld]")


def test_no_repr_shows_the_token_or_the_report() -> None:
    assert repr(REQUEST) == f"Request(report_id='{OURS}')"
    assert repr(answer(200, "abc", complete=False)) == "Answer(200, 3 bytes, cut short)"


PROXY = Request(OURS, b"{}", TOKEN, base64.b64encode(b"proxy-user:hunter2 secret").decode())


PASSWORD = "p@ss/wörd\"<1>"
QUOTED = [
    PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), quote_plus(PASSWORD),
    json.dumps(PASSWORD), html.escape(PASSWORD),
    f"http://proxy-user:{quote(PASSWORD, safe='')}@proxy:8080/", f"http://somebody:{quote(PASSWORD, safe='')}@x",
    "Basic " + base64.b64encode(f"proxy-user:{PASSWORD}".encode()).decode(),
    base64.b64encode(PASSWORD.encode()).decode(),
]  # fmt: skip


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize("quoted", QUOTED)
@pytest.mark.parametrize("is_sent", [True, False])
def test_the_password_for_a_proxy_is_in_no_reason_however_it_is_quoted(quoted: str, *, is_sent: bool) -> None:
    pair = base64.b64encode(f"proxy-user:{PASSWORD}".encode()).decode()
    request = Request(OURS, b"{}", TOKEN, pair if is_sent else "", (PASSWORD, f"proxy-user:{PASSWORD}"))
    reason = reason_of(answer(502, f"the proxy got {quoted} and could not go on"), request)
    assert "could not go on" in reason
    assert not any(form in reason for form in (*QUOTED, "wörd", "w%C3%B6rd", pair))


def test_whoever_signs_in_within_a_url_is_in_no_reason() -> None:
    reason = reason_of(answer(502, "via http://of-somebody:else@proxy:8080/path, it said"), REQUEST)
    assert "http://[withheld]@proxy:8080/path" in reason


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize(
    "quoted", [PROXY.proxy_token, "proxy-user:hunter2 secret", "hunter2 secret", f"Basic {PROXY.proxy_token}"]
)
def test_what_proves_us_to_a_proxy_is_in_no_reason(quoted: str) -> None:
    reason = reason_of(answer(502, f"the proxy got {quoted} and could not go on"), PROXY)
    assert "could not go on" in reason
    assert not any(secret in reason for secret in (PROXY.proxy_token, "hunter2", "proxy-user"))
