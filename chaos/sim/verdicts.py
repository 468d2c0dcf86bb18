"""How a simulated run can end other than well; each error names what every task and thread was waiting for."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.errors import ChaosError


class SimulationError(ChaosError):
    """The root of what a simulated world says about the program in it."""


class StuckError(SimulationError):
    """The program can never end. ``waiting`` has one line for each task and thread that waits."""

    def __init__(self, sentence: str, at_s: float, waiting: Sequence[str]) -> None:
        self.at_s, self.waiting = at_s, tuple(waiting)
        super().__init__("\n  ".join([f"{sentence} at {at_s:g} s", *waiting]))


class DeadlockError(StuckError):
    """Everything waits and nothing can ever wake it: no timer, no packet, no runnable task."""

    def __init__(self, at_s: float, waiting: Sequence[str]) -> None:
        super().__init__("deadlock: expected something that can still happen, found none", at_s, waiting)


class LivelockError(StuckError):
    """The program goes on and on: more steps than a run may take."""

    def __init__(self, steps: int, at_s: float, waiting: Sequence[str]) -> None:
        self.steps = steps
        super().__init__(f"livelock: expected an end within {steps} steps, found none", at_s, waiting)


class OvertimeError(StuckError):
    """The virtual time that the run was given has passed."""

    def __init__(self, limit_s: float, waiting: Sequence[str]) -> None:
        super().__init__("overtime: expected the end of the program before", limit_s, waiting)


class EscapeError(SimulationError):
    """Code in the simulation reached for the real world. ``place`` is where."""

    def __init__(self, what: str, place: str, advice: str) -> None:
        self.what, self.place = what, place
        super().__init__(f"{what} from within the simulation, at {place}; {advice}")


class NotSimulatedError(NotImplementedError, SimulationError):
    """The event loop was asked for something that the simulation does not have."""

    def __init__(self, call: str, advice: str) -> None:
        self.call = call
        super().__init__(f"{call} is not simulated; {advice}")
