"""Failpoints at lines, for tasks of a name, and in the scope of one test."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from chaos.errors import UsageError
from chaos.live.failpoint_scope import scoped_failpoints
from chaos.rules.failpoint_terms import parse_list, parse_target

BANK = """
from __future__ import annotations
import asyncio, functools

def logged(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper

class Account:
    def __init__(self, balance: int):
        self.__balance = balance

    def move(self, other, amount):
        if amount:
            self.__balance -= amount
            other.__balance += amount  # the money is there
        return self.__balance, other.__balance

    async def later(self, value):
        await asyncio.sleep(0)
        return value * 2

class Saving(Account):
    def move(self, other, amount):
        moved = super().move(other, amount)
        return moved

def make(step):
    def add(value):
        total = value + step
        return total
    return add

add = make(10)

async def main():
    async def one(name):
        try:
            return await Account(0).later(name)
        except ValueError:
            return "failed"
    tasks = [asyncio.create_task(one(name), name=name) for name in ("upload-1", "ping")]
    print(await asyncio.gather(*tasks))

def run():
    try:
        print(Saving(5).move(Account(0), 3))
    except OSError as error:
        print("at", error.__traceback__.tb_next.tb_next.tb_lineno)
    print(add(1))
    asyncio.run(main())
"""


def said(folder: Path, *failpoints: str) -> list[str]:
    (folder / "bank.py").write_text(textwrap.dedent(BANK))
    line = [sys.executable, "-m", "chaos.live.bootstrap", "--", "bank:run"]
    environment = {"CHAOS_FAILPOINTS": ";".join(failpoints), "PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}
    found = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=30, check=False)
    return found.stdout.splitlines() or found.stderr.splitlines()


AS_EVER = ["(2, 3)", "11", "['upload-1upload-1', 'pingping']"]


def test_without_an_action_nothing_is_different(tmp_path: Path) -> None:
    lines = ('bank:Account.move#line("other.__balance +=")', 'bank:Saving.move#line("super()")')
    assert said(tmp_path, *(f"{line}=off" for line in lines)) == AS_EVER


def test_a_line_in_the_middle_of_a_function_fails_where_it_stands(tmp_path: Path) -> None:
    """The money has left one account and has not reached the other; the traceback names the very line."""
    found = said(tmp_path, 'bank:Account.move#line("# the money is there")=raise(OSError)')
    number = 1 + textwrap.dedent(BANK).splitlines().index("            other.__balance += amount  # the money is there")
    assert found[0] == f"at {number}"


def test_two_lines_of_one_function_and_a_closure(tmp_path: Path) -> None:
    """Both are passed; a line's failpoint may also give the function's result."""
    found = said(
        tmp_path,
        'bank:Account.move#line("-= amount")=print("one")',
        'bank:Account.move#line("+= amount")=print("two")',
        'bank:add#line("return total")=return(7)',
    )
    assert found[:4] == ["one", "two", "(2, 3)", "7"]


def test_only_tasks_of_the_name_are_concerned(tmp_path: Path) -> None:
    found = said(tmp_path, "bank:Account.later#before[task=upload-*]=raise(ValueError)")
    assert found[2] == "['failed', 'pingping']"


def test_a_line_of_a_coroutine_awaits(tmp_path: Path) -> None:
    assert said(tmp_path, 'bank:Account.later#line("return value")@1=sleep(0.01)') == AS_EVER


@pytest.mark.parametrize(("text", "count"), [("nowhere", "found 0"), ("balance", "found 3")])
def test_a_line_that_is_not_there_or_not_alone_is_refused(tmp_path: Path, text: str, count: str) -> None:
    (complaint,) = said(tmp_path, f'bank:Account.move#line("{text}")=kill')
    assert count in complaint


def test_a_target_with_everything_is_read_as_it_is_written() -> None:
    text = 'a.b:C.d#line("x = {\\"y\\": 1}")@3+[task=up*]'
    assert str(parse_target(text)) == text
    assert parse_list(f"{text}=kill; e:f=off") == [(parse_target(text), "kill"), (parse_target("e:f"), "off")]


@pytest.fixture
def bank(tmp_path: Path) -> ModuleType:
    (tmp_path / "scoped_bank.py").write_text(textwrap.dedent(BANK))
    spec = importlib.util.spec_from_file_location("scoped_bank", tmp_path / "scoped_bank.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scoped_bank"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.asyncio
async def test_two_tests_side_by_side_have_failpoints_of_their_own(bank: ModuleType) -> None:
    """Each of the two scopes, and the task outside of both, meets its own terms in the same function at once."""
    both_inside = asyncio.Barrier(3)

    async def told() -> object:
        await both_inside.wait()
        try:
            return await bank.Account(0).later(4)
        except Exception as error:  # noqa: BLE001 - which one is the fact
            return type(error).__name__

    async def one(terms: str) -> tuple[object, int]:
        with scoped_failpoints({"scoped_bank:Account.later": terms}) as points:
            return await told(), points["scoped_bank:Account.later"].fired

    found = await asyncio.gather(one("raise(OSError)"), one("return(7)"), told())
    assert list(found) == [("OSError", 1), (7, 1), 8]


@pytest.mark.asyncio
async def test_a_scope_reaches_the_tasks_and_threads_that_are_started_in_it(bank: ModuleType) -> None:
    with scoped_failpoints({"scoped_bank:Saving.move": "return(0)"}) as points:
        found = await asyncio.to_thread(bank.Saving(5).move, bank.Account(0), 1)
    assert (found, points["scoped_bank:Saving.move"].reached) == (0, 1)


def test_a_function_has_its_own_code_again_after_the_last_scope(bank: ModuleType) -> None:
    before, dumps = bank.Account.later.__code__, json.dumps
    with scoped_failpoints({"scoped_bank:Account.later": "off", "json:dumps": "raise(KeyError)"}):
        assert bank.Account.later.__code__ is not before
        with pytest.raises(KeyError):
            json.dumps(1)
    assert bank.Account.later.__code__ is before
    assert json.dumps is dumps
    assert json.dumps(1) == "1"


@pytest.mark.parametrize("terms", ["kill", "exit(1)", "pause"])
def test_what_would_end_the_test_itself_is_refused(terms: str) -> None:
    with pytest.raises(UsageError, match="an action that a test survives"), scoped_failpoints({"json:loads": terms}):
        pass
