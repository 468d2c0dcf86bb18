"""The fixtures of the pytest plugin. They need pytest-asyncio; each imports what it uses when a test asks for it.

* ``world``: a live world of the reference service, with ``start``, ``converge``, ``history``; the others of one test
  share it: ``wats_server``, ``service_process``, ``fault_proxy``, ``kill_at``, ``failing_task``,
  ``hung_ipc_clients``, ``faulty_disk``, ``wall_clock``, ``history``.
* Without a world: ``failpoints`` (in the test's own process), ``bad_config_values``, ``leak_check``.

When the test ends, every process, socket and folder of its world is gone; when it fails or is too slow, what the
service waited for, held and said is in its report.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:  # Loading these takes longer than many a test: at run time the fixtures do it.
    from chaos.faults.hung_clients import Hang, HungClients
    from chaos.history import History
    from chaos.live.failpoint_scope import ScopedFailpoint
    from chaos.live.fault_proxy import LiveProxy
    from chaos.live.leak_check import LeakCheck
    from chaos.live.server import LiveServer
    from chaos.live.service import LiveService
    from chaos.live.syscalls import Syscalls
    from chaos.live.wall_clock import WallClock
    from chaos.live.world import LiveWorld

DEADLINE_S = 50.0
REPORTED = pytest.StashKey[bool]()


@pytest_asyncio.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[LiveWorld]:
    """Give a live world with a WATS server, in which the reference service can be started."""
    from chaos.live.world import open_live_world
    from chaos.seed import Seed
    from chaos.subjects import find_subject

    deadline = request.node.get_closest_marker("deadline")
    limit_s = float(deadline.args[0]) if deadline else DEADLINE_S
    async with open_live_world(find_subject("reference"), Seed(_seed(request))) as opened:
        timer = asyncio.get_running_loop().call_later(limit_s, _end_test, request.node, limit_s)
        try:
            yield opened
        finally:
            timer.cancel()
            if request.node.stash.get(REPORTED, False):
                request.node.add_report_section("teardown", "where the service stood", await opened.explain())


@pytest.fixture
def wats_server(world: LiveWorld) -> LiveServer:
    """Give the WATS server of this test's world."""
    return world.server


@pytest.fixture
def service_process(world: LiveWorld) -> LiveWorld:
    """Give what starts the service in this test's world."""
    return world


@pytest_asyncio.fixture
async def fault_proxy(world: LiveWorld) -> LiveProxy:
    """Give a fault proxy between the service and its server; ask for it before the service is started."""
    return await world.proxied()


@pytest.fixture
def history(world: LiveWorld) -> History:
    """Give the history of this test's world."""
    return world.history


@pytest.fixture
def kill_at(world: LiveWorld) -> Callable[..., Awaitable[LiveService]]:
    """Give a start of the service that ends in SIGKILL at a place: ``await kill_at("package.module:function")``."""

    async def start(place: str, **settings: Any) -> LiveService:
        return await world.start(failpoints={place: "kill"}, **settings)

    return start


@pytest.fixture
def failing_task(world: LiveWorld) -> Callable[..., Awaitable[LiveService]]:
    """Give a start of the service with a background task that fails: ``await failing_task("ping")``."""

    async def start(task: str, terms: str = "raise(ValueError)", **settings: Any) -> LiveService:
        return await world.start(failpoints={f"task:{task}": terms}, **settings)

    return start


@pytest_asyncio.fixture
async def hung_ipc_clients(world: LiveWorld) -> AsyncIterator[Callable[..., Awaitable[HungClients]]]:
    """Give what lets clients hang: ``crowd = await hung_ipc_clients(service, Hang.SILENT, Hang.HALF_BODY)``."""
    from chaos.faults.hung_clients import hung_clients

    async with AsyncExitStack() as stack:

        async def hang(service: LiveService, *kinds: Hang) -> HungClients:
            crowd = await stack.enter_async_context(hung_clients(service.ipc_address, world.history))
            for kind in kinds:
                await crowd.hang(kind)
            return crowd

        yield hang


@pytest.fixture
def faulty_disk() -> Callable[..., AbstractAsyncContextManager[Syscalls]]:
    """Give a block in which the service's disk fails: ``async with faulty_disk(service, "ENOSPC", calls="fsync")``."""
    from chaos.errors import NotAvailableError
    from chaos.live.syscalls import SYNCS, SyscallFault, require_strace

    try:
        require_strace()
    except NotAvailableError as absent:
        pytest.skip(str(absent))

    def failing(service: LiveService, error: str, *, calls: str = SYNCS) -> AbstractAsyncContextManager[Syscalls]:
        return service.faults.failing_calls(SyscallFault(calls, error=error))

    return failing


@pytest.fixture
def wall_clock(world: LiveWorld) -> WallClock:
    """Give a wall clock that jumps: ``await world.start(clock=wall_clock)``, then ``wall_clock.jump(86_400)``."""
    from chaos.errors import NotAvailableError
    from chaos.live.wall_clock import WallClock

    try:
        return WallClock(world.file("wall-clock"))
    except NotAvailableError as absent:
        pytest.skip(str(absent))


@pytest.fixture
def failpoints() -> Iterator[Callable[[Mapping[str, str]], dict[str, ScopedFailpoint]]]:
    """Give failpoints in this very test, until its end: ``failpoints({"json:loads": "raise(ValueError)"})``."""
    from chaos.live.failpoint_scope import scoped_failpoints

    with ExitStack() as stack:
        yield lambda specifications: stack.enter_context(scoped_failpoints(specifications))


@pytest.fixture
def bad_config_values() -> Mapping[str, Any]:
    """Give values that have no place in a setting, by the words for their class."""
    from chaos.faults.bad_values import BAD_VALUES

    return BAD_VALUES


@pytest_asyncio.fixture
async def leak_check() -> AsyncIterator[LeakCheck]:
    """Fail the test when it leaves a task, timer, thread, descriptor, socket or process behind; each is named.

    ``leak_check.allowed.add(Kind.THREAD)`` lets one kind be; ``leak_check.folders`` are looked into, if any are given.
    """
    from chaos.live.leak_check import LeakCheck

    async with LeakCheck() as check:
        yield check


def _seed(request: pytest.FixtureRequest) -> int:
    chosen = getattr(request, "param", None)
    return int(chosen if chosen is not None else request.config.getoption("--chaos-seed"))


def _end_test(item: pytest.Item, limit_s: float) -> None:
    """End a test that takes too long, before anything of its world is: its teardown tells where the service stands."""
    item.stash[REPORTED] = True
    name = item.originalname if isinstance(item, pytest.Function) else item.name
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == name:
            task.cancel(f"the test took longer than its deadline of {limit_s:g} s")
