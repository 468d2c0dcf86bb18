"""Five answers, of which only one is good."""

from __future__ import annotations

import pytest

from chaos.verdict import Verdict, combined

H, B, U, E, A = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN, Verdict.NOT_EXERCISED, Verdict.NOT_AVAILABLE


@pytest.mark.parametrize(
    ("several", "one"),
    [
        ([], E),
        ([H, H], H),
        ([H, B, U, E, A], B),
        ([H, U], U),
        ([H, E], E),
        ([U, E], U),
        ([H, A], H),
        ([A, A], A),
        ([A, E], E),
    ],
)
def test_the_verdict_over_several(several: list[Verdict], one: Verdict) -> None:
    assert combined(several) is one
