"""What scenarios, faults and the runner ask of a world and of a subject: the same in every world.

* A *world* is where a run takes place (simulated, crash-enumerated, live). It owns the WATS server, the subject under
  test and the history, and undoes everything when it is left.
* A *subject* is the service under test. Nothing outside ``chaos.subjects`` knows a particular one.
* A *scenario* drives a world and observes it into the history; a *checker* sees nothing but that history.
* A *fault* is a context manager that writes into the history when it really fired, and undoes itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from chaos.history import Event, History
from chaos.seed import Seed
from chaos.verdict import Finding

T = TypeVar("T")


class WorldKind(StrEnum):
    """Where a run takes place."""

    SIMULATION = "sim"
    CRASH = "crash"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Site:
    """The places and addresses that a subject is started with; ``folder`` belongs to the run alone."""

    folder: Path
    server_url: str
    settings: Mapping[str, Any]

    @property
    def data(self) -> Path:
        """Return the folder for the subject's reports."""
        return self.folder / "data"


@dataclass(frozen=True, slots=True)
class StartLine:
    """How to start a subject: a Python module with its arguments, and what is added to the environment."""

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A report found in one of the subject's folders, by content."""

    report_id: str
    sha256: str
    attempts: int


class Client(Protocol):
    """A connection to the running subject, through the client its users have; it connects with its first request.

    Its errors are two: ``CommandRefusedError`` (certainly no effect), ``CommandUnansweredError`` (nobody knows).
    """

    async def submit(self, body: bytes) -> str:
        """Hand over a report and return its id once it is accepted."""
        ...

    async def request(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Send one command and return the data of its answer."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Subject(Protocol):
    """A service under test, as the live world needs it. ``folders`` are those that ``kept_reports`` knows."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that reports move through, in the order in which they do."""
        ...

    def start_line(self, site: Site) -> StartLine:
        """Write what the subject reads at its start (configuration) into ``site`` and return how to start it."""
        ...

    def ipc_address(self, site: Site) -> str:
        """Return the path of the socket on which the subject will answer."""
        ...

    def client(self, site: Site, *, token: str | None = None) -> Client:
        """Return a client of the subject, with its real token unless another is given."""
        ...

    def health_url(self, site: Site) -> str:
        """Return the address that tells of the subject's health."""
        ...

    def exit_means(self, code: int) -> str:
        """Return what an exit code says of the stop: clean, forced, failed or crashed."""
        ...

    def kept_reports(self, site: Site, folder: str) -> Sequence[KeptReport]:
        """Return the reports in one of ``folders``, read from the disk."""
        ...

    def folder(self, site: Site, name: str) -> Path:
        """Return one of ``folders`` as a path."""
        ...

    def config_path(self, site: Site) -> Path:
        """Return the file that the subject reads its settings from."""
        ...

    def ipc_token(self, site: Site) -> str:
        """Return what clients prove themselves with; the subject has been started by then."""
        ...

    def failpoint(self, place: str) -> str:
        """Return the dotted Python name of a place that scenarios know by a word, such as ``"task:ping"``."""
        ...

    def probe_line(self, probe: str, site: Site, arguments: Mapping[str, Any]) -> StartLine:
        """Return how to start a program that tries the subject's parts in-process and prints one JSON line."""
        ...


class Server(Protocol):
    """The WATS server of a world."""

    async def misbehave(self, *rules: Mapping[str, Any]) -> None:
        """Replace the rules; they hold from the moment this returns."""
        ...

    async def saw(self, event: str, *, report_id: str | None = None, limit_s: float = 20) -> None:
        """Return once the server has seen the event since it was last told to (mis)behave. Raises ``OverdueError``."""
        ...

    async def go_down(self) -> None:
        """Stop listening, as a server that is switched off; open connections are cut."""
        ...

    async def come_up(self) -> None:
        """Listen again at the same address."""
        ...


class Failpoint(Protocol):
    """A place in the subject's code where a fault waits for it."""

    async def fired(self, times: int, *, limit_s: float = 20) -> None:
        """Wait until it has fired that often, and write that into the history. Raises ``DeadlineError``."""
        ...


class Service(Protocol):
    """The subject, running in its world. Every call is written into the history."""

    @property
    def ipc_address(self) -> str:
        """The path of the socket on which it answers."""
        ...

    async def submit(self, body: bytes | None = None) -> str:
        """Hand over a report (a sample if None) and return its id once accepted. Raises when it is refused."""
        ...

    async def offer(self, body: bytes, client: Client) -> None:
        """Hand over a report through ``client``; a refusal is written as such and not raised."""
        ...

    def another_client(self) -> Client:
        """Return one more client; it is closed with the world."""
        ...

    async def must_fail(
        self, command: str, arguments: Mapping[str, Any], *, code: str, token: str | None = None
    ) -> None:
        """Send a command that deserves an error; observe as ``command_error`` what became of it."""
        ...

    async def status(self) -> Mapping[str, Any]:
        """Return what the subject says of itself, and observe it as ``status``."""
        ...

    async def health(self) -> None:
        """Ask for the health over HTTP and observe it as ``health``."""
        ...

    def asked_all_the_time(self) -> AbstractAsyncContextManager[None]:
        """Ask for the status over and over inside the context, each time as an operation ``ask``."""
        ...

    def failpoint(self, place: str) -> Failpoint:
        """Return the failpoint that the service was started with at that place."""
        ...

    async def stop(self, *, signals: int = 1) -> None:
        """Send SIGTERM that often and wait until the subject is gone: operation ``stop``, with its exit code."""
        ...

    async def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        ...

    async def died(self, *, limit_s: float = 20) -> None:
        """Wait until it is gone, by a fault that kills it. Raises ``DeadlineError``."""
        ...


class World(Protocol):
    """One run's place: its server, its subject, its history. Left by the runner, whatever happened."""

    @property
    def history(self) -> History:
        """What has happened so far."""
        ...

    @property
    def seed(self) -> Seed:
        """Where the run's random streams begin."""
        ...

    @property
    def server(self) -> Server:
        """The WATS server."""
        ...

    async def start(self, *, failpoints: Mapping[str, str] | None = None, **settings: Any) -> Service:
        """Start the subject (with its earlier settings where none are given) and return it once it is ready."""
        ...

    def sample_reports(self, count: int) -> list[bytes]:
        """Return that many different reports with ids, drawn from the seed."""
        ...

    def sample_report_of(self, size_bytes: int) -> bytes:
        """Return a report with an id that is that large, or larger where its contents need it."""
        ...

    def report_id(self, body: bytes) -> str:
        """Return the id that a report carries."""
        ...

    async def until(self, ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str, limit_s: float) -> T:
        """Ask again and again until the answer is as wished, and return it. Raises ``OverdueError`` with the last."""
        ...

    async def kept(self, folder: str) -> Sequence[KeptReport]:
        """Return the reports in one of the subject's folders, read from the disk now."""
        ...

    async def converge(self, limit_s: float) -> None:
        """Wait until every accepted report is delivered and kept as such, or the limit has passed; then observe."""
        ...

    async def observe(self) -> None:
        """Observe ``deliveries`` (at the server) and ``folders`` (on the disk), as they are now."""
        ...

    async def probe(self, name: str, **arguments: Any) -> Mapping[str, Any]:
        """Run one of the subject's in-process probes as a process of its own and return what it reports."""
        ...


@runtime_checkable
class Explaining(Protocol):
    """A world that can say where its subject stands; asked when a run did not end, before anything is ended."""

    async def explain(self) -> str:
        """Return where the subject stands, for a person."""
        ...


Checker = Callable[[History], Finding]
"""Judges one property on one history; pure. An exception of a checker makes the verdict unknown."""


def checker_name(check: Checker) -> str:
    """Return the name under which a scenario asks for a checker, and under which it is told what it found."""
    return getattr(check, "__name__", type(check).__name__)


OpenWorld = Callable[[Seed], AbstractAsyncContextManager[World]]
"""Opens a world for one run; leaving it undoes and releases everything."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story to play in a world: what it proves, where it makes sense, and the faults that must really fire.

    ``marks`` are places that some simulated run must come to (``SimWorld.mark``), or the campaign has not tried it.
    ``judged_by`` are the names of checkers that some run must give something to judge, or what they judge is not
    exercised; of a property none of whose checkers is named, any one will do.
    """

    name: str
    proves: tuple[str, ...]
    worlds: tuple[WorldKind, ...]
    faults: tuple[str, ...]
    sentence: str
    limit_s: float
    play: Callable[[World], Awaitable[None]]
    marks: tuple[str, ...] = ()
    judged_by: tuple[str, ...] = ()


SIMULATED = (WorldKind.SIMULATION,)
EVERYWHERE = (WorldKind.SIMULATION, WorldKind.LIVE)
"""For stories that say nothing that only one of the two worlds has."""


def scenario(
    *,
    proves: Sequence[str],
    faults: Sequence[str],
    worlds: Sequence[WorldKind] = (WorldKind.LIVE,),
    limit_s: float = 60,
    marks: Sequence[str] = (),
    judged_by: Sequence[str] = (),
) -> Callable[[Callable[[Any], Awaitable[None]]], Scenario]:
    """Make a scenario of a coroutine function; its name begins with the first property it proves.

    One for a single kind of world may ask for more than a ``World``: for that world's own class.
    """

    def make(play: Callable[[Any], Awaitable[None]]) -> Scenario:
        assert play.__doc__, f"{play.__name__} needs a sentence that says what happens"
        sentence = play.__doc__.strip().splitlines()[0]
        name = f"{proves[0]}/{play.__name__}"
        return Scenario(
            name, tuple(proves), tuple(worlds), tuple(faults), sentence, limit_s, play, tuple(marks), tuple(judged_by)
        )

    return make


def fault_names(events: Sequence[Event]) -> dict[str, int]:
    """Return how often each fault fired, a fault counting as often as its event says (``times``)."""
    fired: dict[str, int] = {}
    for event in events:
        fired[event.name] = fired.get(event.name, 0) + int(event.value.get("times", 1))
    return fired
