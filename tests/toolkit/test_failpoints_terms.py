"""The language of failpoints says what acts at which passing, and refuses what it does not know."""

from __future__ import annotations

import errno

import pytest

from chaos.errors import UsageError
from chaos.live.failpoint_board import FIRED, GENERATION, REACHED, SLOT_BYTES, Board
from chaos.rules.failpoint_exceptions import BadStr, make_exception
from chaos.rules.failpoint_terms import Target, Term, choose, parse_list, parse_target, parse_terms


def acting(terms: str, passings: int, seed: int = 0) -> list[str]:
    """Return which action each passing gets, '' for none."""
    parsed = parse_terms(terms)
    used = [0] * len(parsed)
    actions = []
    for passing in range(1, passings + 1):
        chosen = choose(parsed, used, seed, passing)
        if chosen is not None:
            used[chosen] += 1
        actions.append("" if chosen is None else parsed[chosen].action)
    return actions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kill", Term("kill")),
        ("3*sleep(0.5)", Term("sleep", (0.5,), times=3)),
        ("50%2*raise(OSError)", Term("raise", ("OSError",), chance=0.5, times=2)),
        ('raise(pkg.errors:FullError, 5, "reports")', Term("raise", ("pkg.errors:FullError", 5, "reports"))),
        ("raise(OSError, ENOSPC)", Term("raise", ("OSError", errno.ENOSPC, "No space left on device"))),
        ('return({"a": [1, ")->"]})', Term("return", ({"a": [1, ")->"]},))),
        ("exit(7)", Term("exit", (7,))),
        ("block", Term("block")),
    ],
)
def test_a_term_is_read_as_written(text: str, expected: Term) -> None:
    assert parse_terms(text) == (expected,)


def test_terms_are_read_in_order() -> None:
    terms = parse_terms('print("a->b")->50%3*raise(OSError)->kill')
    assert [term.action for term in terms] == ["print", "raise", "kill"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("explode", "column 1"),
        ("", "column 1"),
        ("kill->", "column 7"),
        ("kill kill", "column 6"),
        ("raise", "column 1"),
        ("raise(1)", "column 7"),
        ("raise(OSError, ENOSUCH)", "column 15"),
        ("return(nonsense)", "column 8"),
        ("return(1", "column 9"),
        ('sleep("long")', "column 1"),
        ("exit(true)", "column 1"),
        ("150%kill", "column 1"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_column(text: str, where: str) -> None:
    with pytest.raises(UsageError, match=where):
        parse_terms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pkg.mod:Class.method", Target("pkg.mod", "Class.method")),
        ("mod:function#after", Target("mod", "function", "after")),
        ("mod:function#before@3", Target("mod", "function", "before", 3, 3)),
        ("mod:function@3+", Target("mod", "function", "before", 3, None)),
    ],
)
def test_a_target_is_read_as_written(text: str, expected: Target) -> None:
    assert parse_target(text) == expected


@pytest.mark.parametrize("text", ["mod.function", "mod:", "mod:f#during", "mod:f@0", ":function", "m:f(x)"])
def test_a_target_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"package.module:Class.method#before"):
        parse_target(text)


@pytest.mark.parametrize("text", ["mod:f#before", "mod:f#after@2", "mod:f#before@2+"])
def test_a_target_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_target(text)) == text


def test_a_list_is_split_outside_of_its_strings() -> None:
    found = parse_list('mod:f#after=print("a;b=c"); mod:g = kill ;')
    assert [(str(target), terms.strip()) for target, terms in found] == [
        ("mod:f#after", 'print("a;b=c")'),
        ("mod:g#before", "kill"),
    ]


def test_a_term_that_is_used_up_lets_the_next_one_act() -> None:
    assert acting("2*off->1*kill", 4) == ["off", "off", "kill", ""]


def test_a_chance_is_drawn_again_the_same_from_the_same_seed() -> None:
    assert acting("50%kill->off", 50, seed=7) == acting("50%kill->off", 50, seed=7)


def test_a_chance_comes_up_about_as_often_as_it_says() -> None:
    assert 2700 < acting("30%kill->off", 10_000).count("kill") < 3300


def test_chances_are_others_for_another_seed() -> None:
    assert acting("50%kill->off", 50, seed=7) != acting("50%kill->off", 50, seed=8)


def test_an_errno_makes_the_exception_that_the_system_would_raise() -> None:
    assert isinstance(make_exception("OSError", errno.EACCES, "no"), PermissionError)


def test_an_exception_group_can_be_made_by_its_name_alone() -> None:
    assert isinstance(make_exception("ExceptionGroup"), ExceptionGroup)


def test_bad_str_cannot_be_put_into_words() -> None:
    with pytest.raises(ValueError, match="into words"):
        str(make_exception(BadStr.__name__))


@pytest.mark.parametrize("name", ["NoSuchError", "int", "no_module:Error", "json:dumps"])
def test_what_is_no_exception_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=name.rpartition(":")[2]):
        make_exception(name)


def test_an_exception_that_needs_other_arguments_is_refused_before_it_is_raised() -> None:
    with pytest.raises(UsageError, match=r"arguments that chaos.errors:DeadlineError can be made with"):
        make_exception("chaos.errors:DeadlineError")


def test_a_board_counts_and_keeps_its_texts() -> None:
    board = Board.in_memory([("mod:f#before", "kill", 1), ("mod:g#after", "off", 2)])
    board.add(1, REACHED)
    board.add(1, REACHED)
    board.add(1, FIRED)
    board.write_terms(1, "2*sleep(1)")
    assert [board.word(index, word) for index in (0, 1) for word in (REACHED, FIRED)] == [0, 0, 2, 1]
    assert [(board.target(index), board.terms(index)[1]) for index in (0, 1)] == [
        ("mod:f#before", "kill"),
        ("mod:g#after", "2*sleep(1)"),
    ]


def test_terms_in_the_middle_of_being_written_are_not_taken() -> None:
    board = Board.in_memory([("mod:f#before", "kill", 1)])
    board.add(0, GENERATION)
    assert board.terms(0)[1] == "off"


def test_a_text_that_does_not_fit_the_board_is_refused() -> None:
    with pytest.raises(UsageError, match="make it shorter"):
        Board.in_memory([("mod:f#before", f'print("{"x" * SLOT_BYTES}")', 0)])
