"""Runs a Python program with failpoints armed from outside: no seam and no test code inside the program.

    python -m chaos.live.bootstrap [--first CALL] [--board PATH] [--stacks PATH] -- MODULE [ARGUMENT…]
    CHAOS_FAILPOINTS='pkg.mod:Class.method#before=raise(OSError)' python -m chaos.live.bootstrap -- pkg.mod:main

* The program is a module, run as by ``python -m``, or a console entry ``package.module:function``.
* With ``--board`` the failpoints are on a board that a runner has made (``chaos.live.failpoints``); with the
  environment variable they are for one's own hand, uncounted by anybody.
* With ``--stacks`` it answers SIGUSR2 with where its threads and tasks stand (``chaos.live.stacks``).
* With ``--first package.module:function=TEXT`` that function is called with the text before anything else happens:
  before failpoints are armed, so that these lie on what it has exchanged.
* What cannot be armed is one line on stderr and exit code 3, before anything of the program has run.
* A failpoint in the module that runs as ``__main__`` would never be passed (it would sit in a second copy): refused.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Sequence

from chaos.errors import UsageError
from chaos.live.failpoint_board import Board
from chaos.live.failpoint_roads import arm
from chaos.live.stacks import watch
from chaos.rules.failpoint_terms import parse_list, parse_target

VARIABLE = "CHAOS_FAILPOINTS"
USAGE_ERROR = 3
OPTIONS = ("--first", "--board", "--stacks")
_USAGE = "[--first CALL] [--board PATH] [--stacks PATH] -- MODULE [ARGUMENT…]"


def main(arguments: Sequence[str]) -> None:
    """Arm what is asked for, then run the program; ends as the program ends, or with exit code 3."""
    try:
        options, program = _read(arguments)
        if stacks := options.get("--stacks"):
            watch(stacks)
        if first := options.get("--first"):
            _call(first)
        path = options.get("--board")
        board = Board.open(path) if path else Board.in_memory(_from_environment())
        for index in range(len(board)):
            _refuse_main(parse_target(board.target(index)).module, program[0])
        arm(board)
    except UsageError as error:
        sys.stderr.write(f"chaos.live.bootstrap: {error}\n")
        raise SystemExit(USAGE_ERROR) from error
    _run(program)


def _read(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options by name, and the program with its arguments."""
    left, options = list(arguments), dict[str, str]()
    while len(left) > 1 and left[0] in OPTIONS and left[0] not in options:
        name, value, *left = left
        options[name] = value
    if left[:1] == ["--"] and len(left) > 1:
        return options, left[1:]
    raise UsageError(_USAGE, repr(" ".join(arguments)), "give at least a module after --")


def _call(first: str) -> None:
    """Call the function that ``package.module:function=TEXT`` names. Raises ``UsageError``, also as that raises it."""
    target, _, text = first.partition("=")
    module, _, function = target.partition(":")
    try:
        call = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError("package.module:function=TEXT", f"{first}: {error}", "name what there is") from error
    call(text)


def _from_environment() -> list[tuple[str, str, int]]:
    """Return the failpoints of the variable, which is taken away: they are meant for this process only."""
    return [(str(target), terms, 0) for target, terms in parse_list(os.environ.pop(VARIABLE, ""))]


def _refuse_main(module: str, program: str) -> None:
    if module in (program, f"{program}.__main__"):
        raise UsageError("a failpoint in an imported module", f"{module}, the main one", "start module:function")


def _run(program: Sequence[str]) -> None:
    name, *arguments = program
    module, colon, function = name.partition(":")
    sys.argv = [name, *arguments]
    if not colon:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    entry = importlib.import_module(module)
    for part in function.split("."):
        entry = getattr(entry, part)
    sys.exit(entry())  # type: ignore[operator]  # what an entry names is callable, or says so itself


if __name__ == "__main__":
    main(sys.argv[1:])
