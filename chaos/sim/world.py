"""The simulated world, as a scenario sees it: the scenario runs in a process of its own, the *tester*, in virtual time.

* The subject and the WATS server are two more processes; all share one disk, one network and one clock.
* Everything a scenario may do in the live world it may do here; what only a simulation can do (power loss, clock jumps,
  faults of the disk and of single links, draws from the seed) is on ``SimWorld`` only.
* Time costs nothing: scenarios use the subject's real default timeouts, and bounds are asserted exactly.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.errors import CommandRefusedError, NotAvailableError, OverdueError
from chaos.protocols import KeptReport, Site, WorldKind
from chaos.seed import Seed
from chaos.sim.ambush import crash_within
from chaos.sim.draw import Draw
from chaos.sim.failpoints import SimFailpoint
from chaos.sim.net import SimulatedNetwork
from chaos.sim.process import SimProcess
from chaos.sim.service import SimService
from chaos.sim.stage import STATION, Stage
from chaos.sim.step_faults import plan_step_fault
from chaos.sim.subject import SimulatedSubject
from chaos.sim.wats_server import SimulatedWatsServer
from chaos.trial import PlannedFault, Trial
from chaos.worlds.hands import Hands
from chaos.worlds.looks import WorldLooks
from chaos.worlds.waiting import until

START_LIMIT_S = 300.0
LIVES_LIMIT_S = 3 * 3600.0
STARTS_MAX = 3


class SimWorld(WorldLooks, Hands):
    """One run's place (see ``chaos.protocols.World``)."""

    kind = WorldKind.SIMULATION
    look_pause_s = 0.5

    def __init__(self, stage: Stage, subject: SimulatedSubject, trial: Trial) -> None:
        super().__init__(subject, Seed(trial.seed), stage.history)
        self.stage, self.trial = stage, trial
        self.server = SimulatedWatsServer(stage.kernel, stage.network, stage.history)
        self.simulated: SimulatedSubject = subject
        self.site = Site(stage.folder, self.server.url, {})
        self.draw = Draw(stage.kernel.choices, trial.workload)
        self.marks: Counter[str] = Counter()
        self.services: list[SimService] = []
        self.plan: list[PlannedFault] = []
        self._starting = asyncio.Lock()
        self._looks: dict[str, tuple[int, Sequence[KeptReport]]] = {}
        if trial.step is not None:
            plan_step_fault(trial.step, stage.kernel, self.subject_process, self.history)

    async def open(self) -> None:
        """Start the server and return once it listens. Raises ``DeadlineError``."""
        self.server.start()
        await self.server.ready()

    async def start(self, *, failpoints: Mapping[str, str] | None = None, **settings: Any) -> SimService:
        """Start the subject (with its earlier settings and those given) and return it once it says that it runs.

        Raises ``OverdueError`` when it does not, however its start ended.
        """
        self.site = replace(self.site, settings={**self.site.settings, **settings})
        self.history.observe("settings", **self.simulated.settings(self.site))
        operation = self.history.invoke("start")
        kernel, started = self.stage.kernel, [False]
        if self.services and self.service.process.power_lost:
            # It lies in a folder for run time, which is in memory: a power loss empties it.
            await asyncio.to_thread(Path(self.subject.ipc_address(self.site)).unlink, missing_ok=True)
        self.simulated.prepare(self.site)
        points = {
            place: SimFailpoint(kernel, self.history, place, self.subject.failpoint(place), terms)
            for place, terms in (failpoints or {}).items()
        }
        main = self.simulated.main(self.site, lambda: started.__setitem__(0, True))
        name = f"{self.subject.name}-{len(self.services) + 1}"
        self.stage.network.place(name, STATION)
        process = kernel.new_process(name, main)
        self.stage.failpoints.arm(points, process)
        process.start()
        service = SimService(kernel, process, self.subject, self.site, self.history, points, self._draw)
        self.services.append(service)

        async def state() -> str:
            return (
                "started" if started[0] else "starting" if process.is_alive else f"ended: {process.traceback()[-300:]}"
            )

        await until(state, lambda now: now != "starting", "a start", START_LIMIT_S)
        if not started[0]:
            operation.failed(exit=process.exit_code)
            return service
        operation.ok(pid=process.number)
        return service

    async def start_again(self) -> SimService:
        """Kill the subject and start it anew, without failpoints."""
        await self.service.kill()
        return await self.start()

    async def start_and_die(self, place: str) -> None:
        """Start the subject with a failpoint that kills it while it starts; it is killed when it did not come there."""
        service = await self.start(failpoints={place: "kill"})
        if service.process.is_alive:
            await service.kill()

    def file(self, name: str) -> Path:
        """Return a path in the run's own folder."""
        return self.site.folder / name

    def folder(self, name: str) -> Path:
        """Return one of the folders that the subject keeps reports in."""
        return self.subject.folder(self.site, name)

    def observe_remains(self) -> None:
        """Observe ``remains``: whether the subject has ended, what it left of its sockets, and what it said."""
        process, address = self.service.process, Path(self.subject.ipc_address(self.site))
        left = [str(address)] if address.exists() else []
        said = [record.text for record in self.stage.log.records if record.process == process.name]
        self.history.observe(
            "remains",
            ended=not process.is_alive,
            processes=[],
            files=left,
            said="\n".join(said),
            exit=process.exit_code,
        )

    async def kept(self, folder: str) -> Sequence[KeptReport]:
        """Return the reports in one of the subject's folders, all at this instant; read again once the disk changed."""
        changes, found = self._looks.get(folder, (-1, ()))
        if changes != self.stage.volume.changes:
            with self.stage.disk.looked_at():
                found = self.subject.kept_reports(self.site, folder)
            self._looks[folder] = self.stage.volume.changes, found
        return found

    async def stored_at_server(self) -> set[str]:
        """Return the ids of the reports that the server has stored."""
        return {report_id for report_id, known in self.server.deliveries_now().items() if known.stored}

    async def observe_deliveries(self) -> None:
        """Observe ``deliveries``, as the server knows them now."""
        await self.server.observe()

    async def observe_exchanges(self) -> None:
        """Observe ``exchanges``: every upload that reached the server, from its first byte to its answer, if any."""
        await self.server.write_faults()
        self.history.observe("exchanges", exchanges=self.server.exchanges(self.history))

    async def observe_story(self, report_id: str) -> None:
        """Observe ``story``: where the subject says that a report is, with its attempts, its last error, its events."""
        client = self.service.another_client()
        try:
            places = (await client.request("show_report", {"id": report_id}))["places"]
        except CommandRefusedError as error:
            places = []
            if error.code != "report_not_found":
                raise
        finally:
            await client.close()
        self.history.observe("story", report_id=report_id, places=places)

    async def start_another(self, **settings: Any) -> str:
        """Start one more on the same folders, which must end by itself; observe ``another`` and return what it said.

        Raises ``OverdueError`` when it does not end.
        """
        site = replace(self.site, settings={**self.site.settings, **settings})
        self.simulated.prepare(site)
        kernel, name = self.stage.kernel, f"{self.subject.name}-another"
        self.stage.network.place(name, STATION)
        process = kernel.start(name, self.simulated.main(site, lambda: None))
        code = await SimService(kernel, process, self.subject, site, self.history, {}, self._draw).exited(START_LIMIT_S)
        said = " ".join(record.text for record in self.stage.log.records if record.process == name)
        self.history.observe("another", exit=f"exit code {code}", said=said)
        return said

    async def live_through(self, calls: Sequence[tuple[float, str]]) -> None:
        """Start and stop the subject by ``calls`` within one process (see ``SimulatedSubject``); observe ``life``."""
        kernel, name, lives = self.stage.kernel, f"{self.subject.name}-called", list[Mapping[str, Any]]()
        self.simulated.prepare(self.site)
        self.stage.network.place(name, STATION)
        process = kernel.start(name, self.simulated.life(self.site, calls, lives.append))
        self.history.fault("service.calls", times=len(calls))
        await SimService(kernel, process, self.subject, self.site, self.history, {}, self._draw).exited(START_LIMIT_S)
        said = [record.text for record in self.stage.log.records if record.process == name]
        ended = lives[0] if lives else {"crashed": process.traceback()[-300:]}
        self.history.observe("life", **ended, said=said)

    async def live_again_and_again(
        self, plans: Sequence[Sequence[int]], starting: Callable[[], AbstractContextManager[object]]
    ) -> None:
        """Start and stop the subject in one process (see ``SimulatedSubject.lives``); observe each as ``lived``."""
        kernel, name = self.stage.kernel, f"{self.subject.name}-again"
        self.simulated.prepare(self.site)
        self.stage.network.place(name, STATION)

        def told(life: Mapping[str, Any]) -> None:
            files, sockets = self.stage.disk.table_of(process), self.stage.network.table(process).sockets
            self.history.observe("lived", **life, descriptors=len(files), sockets=len(sockets))

        process = kernel.start(name, self.simulated.lives(self.site, plans, starting, told))
        self.history.fault("service.start_and_stop", times=len(plans))
        await SimService(kernel, process, self.subject, self.site, self.history, {}, self._draw).exited(LIVES_LIMIT_S)
        self.history.observe("lives", planned=len(plans), crashed=process.traceback()[-300:] if process.error else "")

    async def probe(self, name: str, **arguments: Any) -> Mapping[str, Any]:
        """Raise ``NotAvailableError``: a probe looks at real processes."""
        raise NotAvailableError(f"the probe {name} {arguments}", "it looks at a real process", "play it live")

    @property
    def network(self) -> SimulatedNetwork:
        """The network, with its ``faults``."""
        return self.stage.network

    @property
    def service(self) -> SimService:
        """The subject as it was last started."""
        return self.services[-1]

    def crash(self, *, power_lost: bool) -> None:
        """End the subject as it stands, by SIGKILL or with its whole machine, if it is alive."""
        process = self.service.process
        if process.is_alive:
            self.history.fault("process.power" if power_lost else "process.kill", pid=process.number)
            process.kill(power_lost=power_lost)  # Called from within a call of its own, this never returns.

    async def end_subject(self, how: str, *, within: str = "") -> Callable[[], Awaitable[None]]:
        """End the subject by ``kill``, ``power`` or ``term``; return what starts it again (once somebody asks).

        ``within`` names an operation: a kill or a loss of power waits until one is under way (``chaos.sim.ambush``).
        """
        if how == "term":
            if self.service.process.is_alive:
                await self.service.stop()
        elif within:
            await crash_within(self, within, power_lost=how == "power")
        else:
            self.crash(power_lost=how == "power")

        async def again() -> None:
            async with self._starting:
                if not self.service.process.is_alive:
                    await self.start()

        return again

    async def heal(self) -> None:
        """Let the subject run: to be called when every other fault was undone."""
        async with self._starting:
            for _ in range(STARTS_MAX):
                if not self.service.process.is_alive:
                    await self.start()
            if self.service.process.is_alive:
                return
        raise OverdueError("a running subject after everything was healed", START_LIMIT_S, repr(self.service))

    def subject_process(self) -> SimProcess | None:
        """Return the subject's process as it was last started, dead or alive; None before its first start."""
        return self.services[-1].process if self.services else None

    @asynccontextmanager
    async def kept_running(self) -> AsyncIterator[None]:
        """Start the subject again whenever it has ended, until the block is left; it runs then.

        Raises ``OverdueError`` when it does not start.
        """

        async def keep() -> None:
            while True:
                await self.service.gone()
                await self.heal()

        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(keep(), name="keeps the subject running")
            yield
            keeping.cancel()
        await self.heal()

    def mark(self, name: str) -> None:
        """Say that the run came to a place that matters: a campaign in which nobody came there has not tried it."""
        self.marks[name] += 1

    def __repr__(self) -> str:
        return f"SimWorld({self.trial}, {len(self.services)} starts, {self.history!r})"
