"""What the simulated event loop does not have: it says so, and what was called, instead of reaching the real world."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from chaos.sim.verdicts import NotSimulatedError

Loop = TypeVar("Loop", bound=type[asyncio.AbstractEventLoop])

ADVICE = {
    "subprocess_exec": "give the program's child to the world as a process of its own",
    "subprocess_shell": "give the program's child to the world as a process of its own",
    "create_datagram_endpoint": "the simulated network has streams only",
    "add_reader": "use asyncio's streams, which the simulated network serves",
    "add_writer": "use asyncio's streams, which the simulated network serves",
}
ADVICE_OTHERWISE = "use asyncio's streams and files, or test this part with a real process"


def refuse_the_rest(loop: Loop) -> Loop:
    """Make every method that ``loop`` only inherits from the abstract one say its name when it is called."""
    for name, method in vars(asyncio.AbstractEventLoop).items():
        if inspect.isfunction(method) and getattr(loop, name) is method and name != "__init__":
            setattr(loop, name, _refusal(name, is_async=inspect.iscoroutinefunction(method)))
    return loop


def _refusal(name: str, *, is_async: bool) -> Callable[..., Any]:
    error = NotSimulatedError(f"loop.{name}()", ADVICE.get(name, ADVICE_OTHERWISE))

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise error

    async def refuse_async(*_: Any, **__: Any) -> NoReturn:
        raise error

    refusal = refuse_async if is_async else refuse
    refusal.__name__ = name
    refusal.__doc__ = f"Raise ``NotSimulatedError``: {name} is not simulated."
    return refusal
