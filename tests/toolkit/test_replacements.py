"""Parts of a program exchanged from outside, and put back."""

from __future__ import annotations

import pytest

from chaos import outcome, verdict
from chaos.errors import UsageError
from chaos.mutants import Mutant, mutant, planted
from chaos.replacements import Replacements
from chaos.seed import Seed
from chaos.verdict import Verdict


def test_a_method_is_exchanged_inside_the_block_only() -> None:
    with Replacements() as parts:
        parts.replace("chaos.seed:Seed.child", lambda self, name: f"{name} of {self.number}")
        assert Seed(1).child("x") == "x of 1"  # type: ignore[comparison-overlap]  # it was exchanged
    assert isinstance(Seed(1).child("x"), Seed)


def test_a_wrapped_function_gets_the_original() -> None:
    loud, quiet = Seed(1).child("x!"), Seed(1).child("x")
    with Replacements() as parts:
        parts.wrap("chaos.seed:Seed.child", lambda original, self, name: original(self, name + "!"))
        assert Seed(1).child("x") == loud
    assert Seed(1).child("x") == quiet


def test_a_function_is_exchanged_also_where_it_was_imported_by_name() -> None:
    there = vars(outcome)
    with Replacements() as parts:
        parts.replace("chaos.verdict:combined", lambda _: Verdict.HELD)
        assert there["combined"]([]) is Verdict.HELD
    assert there["combined"] is verdict.combined
    assert there["combined"]([]) is Verdict.NOT_EXERCISED


@pytest.mark.parametrize("target", ["chaos.seed", "chaos.seed:Seed.nothing", "chaos.nowhere:x", "chaos.seed:"])
def test_a_part_that_is_not_there_is_refused(target: str) -> None:
    with Replacements() as parts, pytest.raises(UsageError):
        parts.replace(target, None)


def test_a_block_that_ends_badly_puts_the_part_back() -> None:
    def fail() -> None:
        with Replacements() as parts:
            parts.replace("chaos.seed:Seed.child", None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert callable(Seed.child)


def test_a_mutant_is_planted_for_the_length_of_the_block() -> None:
    @mutant("H1.1", subtle="only here")
    def has_no_children(service: Replacements) -> None:
        """Thinks that a seed
        needs no children.

        Not part of the sentence.
        """
        service.replace("chaos.seed:Seed.child", lambda self, _: self)

    assert isinstance(has_no_children, Mutant)
    assert has_no_children.sentence == "Thinks that a seed needs no children."
    with planted(has_no_children):
        assert Seed(1).child("x") == Seed(1)
    assert Seed(1).child("x") != Seed(1)
