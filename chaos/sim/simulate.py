"""Run any asyncio program in simulated worlds, one per seed, until one of them fails: with a line that replays it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chaos.errors import UsageError
from chaos.seed import Seed
from chaos.sim.choices import UNCHANGED, Script
from chaos.sim.clock import EPOCH_NS, Clock
from chaos.sim.disk import add_disk
from chaos.sim.entropy import Entropy
from chaos.sim.escapes import Escapes
from chaos.sim.kernel import STEPS_MAX, SimKernel
from chaos.sim.net import add_network
from chaos.sim.policies import POLICIES
from chaos.sim.process import SimProcess
from chaos.sim.process_calls import ProcessCalls
from chaos.sim.random_faults import RandomFaults, fault_words
from chaos.sim.remains import collected_afterwards
from chaos.sim.scheduler import FOREVER_NS
from chaos.sim.threads import Threads
from chaos.sim.verdicts import DeadlockError, OvertimeError, SimulationError

LIMIT_S = 86_400.0
FOLDER = "/sim"
Prepare = Callable[[SimKernel], object]
"""Adds to a world before it is entered: a network, a disk, faults at their times."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a world is made: everything but its seed. ``limit_s`` is virtual time; ``folder`` is the simulated disk's.

    ``faults``: kinds of faults that each seed draws some of, as ``"network disk kill power clock"``.
    """

    policy: str = "portfolio"
    script: Script = UNCHANGED
    limit_s: float = LIMIT_S
    steps_max: int = STEPS_MAX
    epoch_ns: int = EPOCH_NS
    allowed: tuple[str, ...] = ()
    prepare: Sequence[Prepare] = ()
    folder: str = FOLDER
    faults: str = ""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"a policy ({', '.join(POLICIES)})", repr(self.policy), "choose one of these")
        fault_words(self.faults)


@dataclass(frozen=True, slots=True)
class Ran:
    """One run that ended well: two runs of one seed and program have the same ``digest``."""

    seed: int
    policy: str
    digest: int
    steps: int
    virtual_s: float
    result: Any


class SimulationFailedError(SimulationError):
    """A program failed in a simulated world; its cause is the program's own error. ``line`` replays it."""

    def __init__(self, seed: int, policy: str, line: str, error: BaseException) -> None:
        self.seed, self.policy, self.line, self.error = seed, policy, line, error
        super().__init__(f"{type(error).__name__}: {error}\n  replay with: {line}")


def simulate(
    main: Callable[[], Any],
    *,
    seed: int = 0,
    seeds: int = 1,
    policy: str = "portfolio",
    limit_s: float = LIMIT_S,
    faults: str = "",
    setting: Setting | None = None,
) -> list[Ran]:
    """Run ``main`` (async, or plain) as the only process of ``seeds`` worlds, from ``seed`` on.

    Raises ``SimulationFailedError`` with the first failing seed: an exception of ``main`` or of a task that nobody
    waited for, a deadlock, a livelock, a reach for the real world. Blocks; may be called where an event loop runs.
    ``faults`` names kinds of faults (``chaos.sim.random_faults``); raises ``UsageError`` for others. With ``kill`` or
    ``power`` the program is started again on what the disk has kept, and the result is that of its last life.
    """
    setting = setting or Setting(policy=policy, limit_s=limit_s, faults=faults)
    return [run_seed(main, number, setting) for number in range(seed, seed + seeds)]


def run_seed(main: Callable[[], Any], seed: int, setting: Setting = Setting()) -> Ran:
    """Run ``main`` in one world. Raises as ``simulate`` does."""
    with collected_afterwards():
        return run_in(open_machine(Seed(seed), setting), main, setting)


def run_in(kernel: SimKernel, main: Callable[[], Any], setting: Setting) -> Ran:
    """Run ``main`` in a world that has not been entered, and clear it away. Raises as ``simulate`` does."""
    seed = kernel.seed.number
    try:
        with kernel:
            lives = RandomFaults(kernel, main, fault_words(setting.faults), setting.folder)
            lives.start()
            kernel.run(until_ns=min(round(setting.limit_s * 1e9), FOREVER_NS))
            assert lives.process is not None, "it was started"
            result = _judged(kernel, lives.process, setting)
            return Ran(seed, kernel.policy.name, kernel.digest, kernel.step, kernel.now_ns / 1e9, result)
    except UsageError:
        raise
    except Exception as error:
        policy = kernel.policy.name
        line = replay_line(main, seed, replace(setting, policy=policy))
        raise SimulationFailedError(seed, policy, line, error) from error


def open_kernel(seed: Seed, setting: Setting = Setting()) -> SimKernel:
    """Return a world with every seam of the kernel, not yet entered; what ``setting`` prepares is added."""
    kernel = SimKernel(
        seed, policy=setting.policy, script=setting.script, steps_max=setting.steps_max, seams=standard_seams(setting)
    )
    for prepare in setting.prepare:
        prepare(kernel)
    return kernel


def open_machine(seed: Seed, setting: Setting = Setting()) -> SimKernel:
    """Return a world as ``open_kernel`` does, with a network and with a disk on which ``setting.folder`` is mounted."""
    kernel = open_kernel(seed, setting)
    disk = add_disk(kernel)
    disk.mount(setting.folder)
    add_network(kernel, socket_files=disk)
    return kernel


def standard_seams(setting: Setting) -> list[Any]:
    """Return the seams that every world has, in the order in which they are entered."""
    return [Escapes(allowed=setting.allowed), Threads(), Clock(setting.epoch_ns), Entropy(), ProcessCalls()]


def _judged(kernel: SimKernel, process: SimProcess, setting: Setting) -> Any:
    """Return the result of a process that ended well; raise what speaks against it."""
    for seam in kernel.seams:
        if isinstance(seam, Escapes) and seam.found:
            raise seam.found[0]
    if process.error is not None:
        raise process.error
    if process.is_alive:
        if kernel.is_idle():
            raise DeadlockError(kernel.now_ns / 1e9, kernel.waiting())
        raise OvertimeError(setting.limit_s, kernel.waiting())
    for context in process.unhandled:
        if isinstance(error := context.get("exception"), Exception):
            raise error
    if process.exit_code not in (0, process.result):
        raise ExitCodeError(process.name, process.exit_code)
    return process.result


class ExitCodeError(SimulationError):
    """The program ended itself, or was ended by a signal, with something else than success."""

    def __init__(self, process: str, exit_code: int | None) -> None:
        self.exit_code = exit_code
        super().__init__(f"expected {process} to return, found exit code {exit_code}; see what ended it")


def replay_line(main: Callable[[], Any], seed: int, setting: Setting) -> str:
    """Return the Python expression that runs this program with this seed again."""
    name = getattr(main, "__qualname__", repr(main))
    more = f", limit_s={setting.limit_s:g}" if setting.limit_s != LIMIT_S else ""
    more += f", faults={setting.faults!r}" if setting.faults else ""
    return f"simulate({name}, seed={seed}, policy={setting.policy!r}{more})"
