"""The registry carries the whole promise."""

from __future__ import annotations

import pytest

from chaos.errors import UsageError
from chaos.guarantees import ENGINES, find_property, guarantees, properties

COUNTS = {"C1": 12, "C2": 10, "H1": 15, "H2": 6, "H3": 5, "H4": 7, "H5": 6, "H6": 10}


def test_there_are_seventy_one_properties() -> None:
    assert {g.id: len(g.properties) for g in guarantees()} == COUNTS
    assert len(properties()) == 71


def test_ids_are_numbered_without_a_gap() -> None:
    wanted = [f"{g}.{n}" for g, count in COUNTS.items() for n in range(1, count + 1)]
    assert list(properties()) == wanted


def test_every_property_has_a_promise_and_known_engines() -> None:
    assert all(len(p.promise) > 20 and p.engines and set(p.engines) <= set(ENGINES) for p in properties().values())


def test_a_property_is_found_in_lower_case() -> None:
    assert find_property("c1.6").id == "C1.6"


def test_an_unknown_id_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*C1\.1"):
        find_property("C1.111")
