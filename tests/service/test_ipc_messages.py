"""Messages are read strictly, and whatever bytes come are a request, or an answer that refuses them (H6.6, H3.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_reliability.errors import IPCProtocolError
from pywats_reliability.ipc.messages import (
    Hello,
    Request,
    Response,
    code_of,
    is_supported,
    parse_hello,
    parse_request,
    parse_response,
)

GOOD = {"command": "ping", "request_id": "r", "protocol_version": "2.0", "args": {}}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def request_with(**fields: Any) -> Request | Response:
    return parse_request(json.dumps(GOOD | fields).encode())


def refused(answer: Request | Response) -> Response:
    assert isinstance(answer, Response), answer
    assert not answer.success
    return answer


def test_a_request_is_read_as_it_was_written() -> None:
    request = Request("submit", {"report": "{}", "priority": 3}, "an-id")
    assert parse_request(request.encode()) == request


def test_missing_fields_mean_no_command_no_arguments_and_no_id() -> None:
    assert parse_request(b'{"protocol_version": "2.0"}') == Request("", {}, "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Invalid JSON: Expecting value"),
        (b"{", "Invalid JSON: Expecting property name"),
        (b"\xff\xfe{}", "Invalid JSON: expected UTF-8, found another byte at position 0"),
        ('{"command": "ping"}'.encode("utf-16"), "Invalid JSON: expected UTF-8"),
        (b'{"a": NaN}', "Invalid JSON: expected finite numbers"),
        (b'{"a": 1e999}', "Invalid JSON: expected finite numbers"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Invalid JSON: "),
        (b"[" * 100_000, "Invalid JSON: expected nesting of at most 100"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "Invalid JSON: expected nesting of at most 100"),
        (b"[" * 101 + b"]" * 101, "Invalid JSON: expected nesting of at most 100"),
        (b"[" * 100 + b"]" * 100, "Bad request: expected an object, found a list"),
        (b'"ping"', "Bad request: expected an object, found a text"),
        (b"null", "Bad request: expected an object, found nothing"),
    ],
)
def test_what_is_no_object_in_json_is_refused_with_words(body: bytes, words: str) -> None:
    assert str(refused(parse_request(body)).error).startswith(words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"request_id": 5}, "expected request_id as a text, found a number"),
        ({"protocol_version": 2.0}, "expected protocol_version as a text, found a number"),
        ({"command": None}, "expected command as a text, found nothing"),
        ({"args": []}, "expected args as an object, found a list"),
        ({"args": "x"}, "expected args as an object, found a text"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_by_its_name(fields: dict[str, Any], words: str) -> None:
    answer = refused(request_with(**fields))
    assert (answer.code, words in str(answer.error)) == ("bad_request", True)


def test_a_refusal_carries_the_id_of_its_request() -> None:
    assert refused(request_with(args=1)).request_id == "r"


def test_a_request_without_a_version_is_of_version_one_and_refused() -> None:
    answer = refused(parse_request(b'{"command": "ping", "request_id": "r"}'))
    assert answer == Response("r", None, "Protocol version 1.0 not supported. Minimum: 2.0", "unsupported_version")


def test_the_version_is_checked_before_the_other_fields() -> None:
    assert refused(request_with(protocol_version="1.9", args=1)).code == "unsupported_version"


@pytest.mark.parametrize("version", ["2.0", "2.1", "2", "2.0.7", "3.0", "10.0"])
def test_versions_from_two_on_are_supported(version: str) -> None:
    assert is_supported(version)


@pytest.mark.parametrize("version", ["", "1.0", "1.99", "0.2", "2.x", "two", "-3.0", "+3", " 3", "²", "9" * 5000])
def test_older_versions_and_what_is_none_are_not_supported(version: str) -> None:
    assert not is_supported(version)


@pytest.mark.proves("H6.6")
@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_make_the_parser_raise(body: bytes) -> None:
    answer = parse_request(body)
    assert isinstance(answer, Request) or json.loads(answer.encode())["success"] is False


@pytest.mark.proves("H6.6")
@given(st.dictionaries(st.sampled_from([*GOOD, "extra"]), JSON_VALUES))
def test_no_fields_make_the_parser_raise(fields: dict[str, Any]) -> None:
    answer = request_with(**fields)
    assert isinstance(answer, Request) or json.loads(answer.encode())["error"]


def test_an_id_with_half_a_surrogate_pair_is_echoed() -> None:
    body = b'{"command": "ping", "request_id": "\\ud800", "protocol_version": "2.0"}'
    request = parse_request(body)
    assert json.loads(Response(request.request_id, 1).encode())["request_id"] == "\ud800"


def test_the_repr_of_a_request_shows_no_arguments() -> None:
    assert "s3cret" not in repr(Request("auth", {"token": "s3cret"}, "r"))


def test_a_hello_is_read_as_it_was_written() -> None:
    hello = Hello("1.2.3", "default", requires_auth=True, capabilities=("auth", "queue"))
    assert parse_hello(hello.encode()) == hello


@pytest.mark.parametrize(
    "fields", [{"protocol_version": "1.0"}, {"capabilities": "auth"}, {"requires_auth": 1}, {"instance_id": None}]
)
def test_a_hello_that_is_none_of_ours_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(IPCProtocolError):
        parse_hello(json.dumps({"protocol_version": "2.0"} | fields).encode())


def test_an_answer_is_read_as_it_was_written() -> None:
    for response in (Response("r", {"a": [1]}), Response("r"), Response("r", None, "no such thing", "unknown_command")):
        assert parse_response(response.encode()) == response


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"success": None},
        {"success": 1, "data": {}},
        {"success": "true", "data": {}},
        {"success": True, "error": "and yet an error"},
        {"success": False, "error": 7},
        {"success": True, "data": {}, "request_id": 5},
    ],
)
def test_an_answer_that_could_be_read_two_ways_is_none(fields: dict[str, Any]) -> None:
    with pytest.raises(IPCProtocolError):
        parse_response(json.dumps(fields).encode())


def test_a_failed_answer_gives_no_data_even_when_it_has_some() -> None:
    response = parse_response(b'{"success": false, "data": {"pong": true}, "request_id": "r"}')
    assert (response.success, response.data, response.error) == (False, None, "the service gave no reason")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Protocol version 1.0 not supported. Minimum: 2.0", "unsupported_version"),
        ("Rate limit exceeded. Try again later.", "rate_limited"),
        ("Authentication required", "authentication"),
        ("Token required", "authentication"),
        ("Invalid token", "authentication"),
        ("Unknown command: x", "unknown_command"),
        ("Invalid JSON: Expecting value", "invalid_json"),
        ("Request processing timeout after 60.0s", "processing_timeout"),
        ("disk on fire", "remote_error"),
    ],
)
def test_the_code_of_a_server_without_codes_follows_from_its_text(text: str, code: str) -> None:
    assert code_of(text) == code


def test_an_answer_over_the_limit_is_not_sent() -> None:
    with pytest.raises(ValueError, match="limit 16777216"):
        Response("r", "x" * 17_000_000).encode()
