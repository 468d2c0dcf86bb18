"""Frames are cut from a stream of bytes the same way however it is split (H6.1, H6.5, H6.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywats_reliability.errors import IPCProtocolError
from pywats_reliability.ipc.framing import REQUEST_BYTES_MAX, FrameDecoder, encode_frame


def bodies_of(decoder: FrameDecoder) -> list[bytes]:
    bodies = []
    while (body := decoder.next_body()) is not None:
        bodies.append(body)
    return bodies


@pytest.mark.proves("H6.5")
@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_bodies_come_out_as_they_went_in_whatever_the_split(bodies: list[bytes], cuts: list[int]) -> None:
    stream, decoder, found, step = b"".join(map(encode_frame, bodies)), FrameDecoder(), [], 0
    while stream:
        size = cuts[step % len(cuts)]
        decoder.feed(stream[:size])
        stream, step = stream[size:], step + 1
        found += bodies_of(decoder)
    assert found == bodies
    assert decoder.is_empty


def test_the_header_is_the_length_in_four_bytes_big_endian() -> None:
    assert encode_frame(b"x" * 258)[:5] == b"\x00\x00\x01\x02x"


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(b"x" * REQUEST_BYTES_MAX))
    assert decoder.next_body() == b"x" * REQUEST_BYTES_MAX


@pytest.mark.parametrize("length", [REQUEST_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_over_the_limit_is_refused_before_its_body_comes(length: int) -> None:
    decoder = FrameDecoder()
    decoder.feed(length.to_bytes(4, "big"))
    with pytest.raises(IPCProtocolError, match="expected a message of at most 1048576 bytes"):
        decoder.next_body()


def test_after_a_refused_length_nothing_is_taken_for_a_frame() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\xff\xff\xff\xff" + encode_frame(b"{}"))
    for _ in range(2):
        with pytest.raises(IPCProtocolError):
            decoder.next_body()


def test_a_length_of_zero_is_an_empty_body() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\x00\x00\x00\x00")
    assert decoder.next_body() == b""


def test_half_a_header_counts_as_a_message_that_has_begun() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\x00")
    assert (decoder.next_body(), decoder.is_empty) == (None, False)
