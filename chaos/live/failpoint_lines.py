"""Failpoints at a line: a function's own source is compiled anew, with a statement in front of the line that is named.

* The line is found by a piece of its text, which must stand in exactly one line of the function: no comment and no
  number has to be kept in step with the program, and a change that moves the line does not move the failpoint.
* The rest is as it was: line numbers, closures, ``super()``, private names; only the code is exchanged.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from types import CodeType, FunctionType
from typing import Any, Protocol

from chaos.errors import UsageError
from chaos.live.failpoint_nothing import NOTHING
from chaos.rules.failpoint_terms import Target

_ASYNC_GENERATOR = 0x200


class LineHook(Protocol):
    """What is to happen at a line."""

    target: Target

    def pass_by(self) -> Any:
        """Do what is due, in a plain function."""
        ...

    def pass_by_async(self) -> Awaitable[Any]:
        """Do what is due, in a coroutine."""
        ...


def stop_at_lines(function: object, hooks: Sequence[LineHook], *, awaits: bool) -> None:
    """Let the function pass the hooks at their lines. Raises ``UsageError`` when a line is not there, or not alone."""
    if not isinstance(function, FunctionType):
        raise UsageError("a Python function with lines", str(hooks[0].target), "use #before or #after")
    tree, first_line = _parsed(function, hooks[0].target)
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef), "the source of a function is a definition"
    definition.decorator_list = []
    lines = inspect.getsource(function).splitlines()
    returns = not function.__code__.co_flags & _ASYNC_GENERATOR
    for number, hook in enumerate(hooks):
        name = f"__failpoint_{id(hook)}_{number}__"
        line = _line_with(lines, hook.target)
        statement = _statement_at(definition, line, hook.target)
        _insert(definition, statement, _passing(name, awaits=awaits, returns=returns))
        function.__globals__[name] = _caller(hook, awaits=awaits)
    ast.fix_missing_locations(ast.increment_lineno(tree, first_line - 1))
    function.__code__ = _compiled(function, definition)


def _parsed(function: FunctionType, target: Target) -> tuple[ast.Module, int]:
    try:
        lines, first_line = inspect.getsourcelines(function)
        return ast.parse(textwrap.dedent("".join(lines))), first_line
    except (OSError, SyntaxError) as error:
        raise UsageError(f"the source of {target}", str(error), "use #before or #after") from error


def _line_with(lines: Sequence[str], target: Target) -> int:
    found = [number for number, line in enumerate(lines, start=1) if target.line in line]
    if len(found) != 1:
        advice = "name more of it" if found else "copy it from the source"
        raise UsageError(f"one line of {target.module}:{target.path} with {target.line!r}", str(len(found)), advice)
    return found[0]


def _statement_at(definition: ast.AST, line: int, target: Target) -> ast.stmt:
    """Return the innermost statement that the line belongs to: the last one to begin at or before it."""
    statements = [
        node
        for node in ast.walk(definition)
        if isinstance(node, ast.stmt) and node is not definition and node.lineno <= line <= (node.end_lineno or line)
    ]
    if not statements:
        raise UsageError(f"a statement at {target}", "none", "name a line inside the function's body")
    return max(statements, key=lambda node: (node.lineno, -(node.end_lineno or 0)))


def _passing(name: str, *, awaits: bool, returns: bool) -> list[ast.stmt]:
    call = f"await {name}()" if awaits else f"{name}()"
    result = f"{name}result"
    source = f"{result} = {call}\nif {result} is not {name}.nothing: return {result}" if returns else call
    return ast.parse(f"async def f():\n{textwrap.indent(source, ' ')}").body[0].body  # type: ignore[attr-defined,no-any-return]


def _insert(definition: ast.AST, statement: ast.stmt, added: list[ast.stmt]) -> None:
    for node in ast.walk(definition):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list) and statement in statements:
                place = statements.index(statement)
                for one in added:
                    ast.copy_location(one, statement)
                    for part in ast.walk(one):
                        ast.copy_location(part, statement)
                statements[place:place] = added
                return
    raise AssertionError("every statement stands in some block")


def _caller(hook: LineHook, *, awaits: bool) -> Callable[[], Any]:
    method: Callable[[], Any] = hook.pass_by_async if awaits else hook.pass_by
    caller = functools.partial(method)
    caller.nothing = NOTHING  # type: ignore[attr-defined]  # where the inserted statement finds it
    return caller


def _compiled(function: FunctionType, definition: ast.FunctionDef | ast.AsyncFunctionDef) -> CodeType:
    """Compile the definition where its free variables and its class are what they were."""
    original = function.__code__
    inner: list[ast.stmt] = [definition]
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    if owner and owner != "<locals>":
        inner = [ast.ClassDef(owner, [], [], inner, [], **_type_params())]
    cells = [name for name in original.co_freevars if name != "__class__"]
    if cells:
        assigned = [ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in cells]
        outer = ast.parse("def outer(): pass").body[0]
        assert isinstance(outer, ast.FunctionDef), "that is what was written"
        outer.body = [*assigned, *inner]
        inner = [outer]
    module = ast.fix_missing_locations(ast.Module(inner, []))
    flags = original.co_flags & 0x1000000  # ``from __future__ import annotations``, as in the function's own module.
    code = compile(module, original.co_filename, "exec", flags=flags, dont_inherit=True)
    found = _find(code, definition.name)
    assert found.co_freevars == original.co_freevars, "the same source has the same free variables"
    return found.replace(co_qualname=original.co_qualname)


def _type_params() -> dict[str, Any]:
    return {"type_params": []} if "type_params" in ast.ClassDef._fields else {}


def _find(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name:
                return constant
            if found := _find_in(constant, name):
                return found
    raise AssertionError(f"the definition of {name} was compiled just now")


def _find_in(code: CodeType, name: str) -> CodeType | None:
    try:
        return _find(code, name)
    except AssertionError:
        return None
