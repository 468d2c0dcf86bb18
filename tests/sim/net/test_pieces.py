"""Pieces of a stream are put in order where they arrive, however they were cut and whatever overtook what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaos.sim.net.piece import InOrder, Piece


@given(st.binary(max_size=50), st.lists(st.integers(1, 10)), st.randoms(use_true_random=False))
def test_pieces_in_any_order_give_the_stream(data: bytes, cuts: list[int], order: object) -> None:
    pieces = [Piece(0, opens=True)]
    rest = Piece(1, data, ends=True)
    for cut in cuts:
        if cut < len(rest.data):
            piece, rest = rest.split(cut)
            pieces.append(piece)
    pieces.append(rest)
    order.shuffle(pieces)  # type: ignore[attr-defined]
    in_order = InOrder()
    got = [ready for piece in pieces for ready in in_order.put(piece)]
    assert b"".join(piece.data for piece in got) == data
    assert (got[0].opens, got[-1].ends, sum(piece.length for piece in got)) == (True, True, len(data) + 2)


def test_a_piece_that_is_missing_holds_back_the_rest() -> None:
    in_order = InOrder()
    assert list(in_order.put(Piece(3, b"later"))) == []
    assert [piece.data for piece in in_order.put(Piece(0, b"now"))] == [b"now", b"later"]
