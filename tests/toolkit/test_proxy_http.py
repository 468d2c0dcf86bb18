"""The HTTP-aware toxics: which request they choose, what the server sees, what the client gets; and the part reader."""

from __future__ import annotations

import pytest

from chaos.live.proxy.http_parts import MessageReader, PartKind
from chaos.live.proxy.steps import StepKind, Turns
from tests.toolkit.test_proxy_toxics import DOWN, NOW, UP, Bench, ends, text

HEAD = b"POST /api/Report/WSJF HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
REQUEST = HEAD + b"0123456789"
ANSWER_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
ANSWER = ANSWER_HEAD + b"stored"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsto\r\n3;x=y\r\nred\r\n0\r\nTrailer: 1\r\n\r\n"


def parts_of(
    data: bytes, *, is_answer: bool = False, size: int = 1, methods: list[str] | None = None
) -> list[PartKind]:
    reader = MessageReader(methods if methods is not None else [], is_answer=is_answer)
    found = [part for at in range(0, len(data), size) for part in reader.feed(data[at : at + size])]
    assert b"".join(part.data for part in found) == data
    kinds = [part.kind for part in found]
    return [kind for place, kind in enumerate(kinds) if place == 0 or kind != kinds[place - 1]]


WHOLE = [PartKind.HEAD, PartKind.BODY, PartKind.END]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_parts_are_told_apart_however_the_bytes_come(size: int) -> None:
    assert parts_of(REQUEST + REQUEST, size=size) == WHOLE * 2
    assert parts_of(ANSWER + CHUNKED, is_answer=True, size=size) == WHOLE * 2


def test_a_request_without_a_body_ends_with_its_head() -> None:
    assert parts_of(b"GET / HTTP/1.1\r\n\r\n") == [PartKind.HEAD, PartKind.END]


def test_answers_without_a_body_are_known_by_their_request_and_status() -> None:
    assert parts_of(ANSWER_HEAD + ANSWER, is_answer=True, methods=["HEAD", "GET"]) == [
        PartKind.HEAD,
        PartKind.END,
        *WHOLE,
    ]
    assert parts_of(b"HTTP/1.1 204 No Content\r\n\r\n", is_answer=True) == [PartKind.HEAD, PartKind.END]


def test_an_interim_answer_is_not_the_answer() -> None:
    assert parts_of(b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER, is_answer=True, size=1000) == WHOLE


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"no http\r\n\r\nat all", b"x" * 70_000])
def test_what_is_no_http_is_held_back_at_most_until_its_end(data: bytes) -> None:
    bench = Bench("http_cut")
    assert text(bench.takes(data, StepKind.FIN, direction=UP)) == data


def test_the_first_two_requests_fail_and_the_third_passes_over_connections() -> None:
    turns = Turns()
    outcomes = []
    for _ in range(3):
        bench = Bench("http_fail", turns=turns, first=2, status=502, retry_after="1")
        steps = bench.takes(REQUEST[:50], REQUEST[50:], direction=UP)
        outcomes.append((ends(steps), steps[0].data[:12], bench.fired))
    refused = ([StepKind.ANSWER], b"HTTP/1.1 502", 1)
    assert outcomes == [refused, refused, ([], REQUEST[:12], 0)]


def test_only_requests_of_the_path_are_counted() -> None:
    bench = Bench("http_fail", path="/api/Report")
    assert text(bench.takes(b"GET /api/App/Version HTTP/1.1\r\n\r\n", direction=UP)).startswith(b"GET")
    assert ends(bench.takes(REQUEST, direction=UP)) == [StepKind.ANSWER]


@pytest.mark.parametrize(
    ("at", "sent"),
    [("request_headers", HEAD[: len(HEAD) // 2]), ("request_body", HEAD + b"01234"), ("after_request", REQUEST)],
)
def test_a_cut_in_the_request_lets_the_server_see_that_much(at: str, sent: bytes) -> None:
    bench = Bench("http_cut", at=at)
    steps = bench.takes(REQUEST, direction=UP)
    assert (text(steps), ends(steps), bench.fired) == (sent, [StepKind.CLOSE], 1)


@pytest.mark.parametrize(
    ("at", "got"),
    [
        ("before_answer", b""),
        ("answer_headers", ANSWER_HEAD[: len(ANSWER_HEAD) // 2]),
        ("answer_body", ANSWER_HEAD + b"sto"),
    ],
)
def test_a_cut_in_the_answer_lets_the_client_see_that_much(at: str, got: bytes) -> None:
    bench = Bench("http_cut", at=at, reset=True)
    assert text(bench.takes(REQUEST, direction=UP)) == REQUEST
    steps = bench.takes(ANSWER, direction=DOWN)
    assert (text(steps), ends(steps), bench.fired) == (got, [StepKind.RESET], 1)


def test_the_second_answer_of_a_connection_is_not_cut() -> None:
    bench = Bench("http_cut", at="answer_body", first=1, path="/other")
    bench.takes(REQUEST, b"GET /other HTTP/1.1\r\n\r\n", direction=UP)
    assert ends(bench.takes(ANSWER)) == []
    assert ends(bench.takes(ANSWER)) == [StepKind.CLOSE]


def test_a_truncated_answer_lacks_its_last_bytes() -> None:
    bench = Bench("http_truncate", missing=2)
    bench.takes(REQUEST, direction=UP)
    steps = bench.takes(ANSWER_HEAD + b"st", b"ored")
    assert (text(steps), ends(steps), bench.fired) == (ANSWER_HEAD + b"stor", [StepKind.CLOSE], 1)


def test_an_overlong_answer_goes_on_after_its_end() -> None:
    bench = Bench("http_overlong", extra=5)
    bench.takes(REQUEST, direction=UP)
    assert text(bench.takes(ANSWER)) == ANSWER + b"xxxxx"


@pytest.mark.parametrize(("stream", "message"), [(UP, REQUEST), (DOWN, ANSWER)])
def test_slow_headers_come_byte_by_byte_and_the_body_behind_them(stream: object, message: bytes) -> None:
    bench = Bench("http_slow_headers", stream=stream, interval=10)  # type: ignore[arg-type]
    sent = bench.takes(REQUEST, direction=UP)
    steps = bench.takes(ANSWER) if stream is DOWN else sent
    head = message.index(b"\r\n\r\n") + 4
    assert text(steps) == message
    assert [len(step.data) for step in steps[:head]] == [1] * head
    assert steps[-1].due == pytest.approx(NOW + 0.01 * (head - 1))
