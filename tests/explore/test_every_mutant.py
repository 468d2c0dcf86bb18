"""Every mutant fits the service as it is: one whose part has moved fails where it is planted, and proves nothing."""

from __future__ import annotations

import pytest

from chaos.mutants import Mutant, all_mutants, planted


@pytest.mark.parametrize("mutant", all_mutants(), ids=lambda mutant: mutant.name)
def test_what_it_exchanges_is_there(mutant: Mutant) -> None:
    with planted(mutant):
        assert mutant.sentence
