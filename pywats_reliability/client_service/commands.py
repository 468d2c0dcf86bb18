"""The commands that clients may send over IPC, each a small coroutine; what it raises arrives there typed (H3.3).

A command that changes something is refused once a stop was requested (C1.1); one that only tells is answered to the
end. A report given as text keeps its bytes; one given as an object is encoded here, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pywats_reliability.client_service.late_effects import may_be_late
from pywats_reliability.client_service.queue_commands import QueueCommands
from pywats_reliability.client_service.server_trial import try_server
from pywats_reliability.config import ClientConfig
from pywats_reliability.converter_pool import AsyncConverterPool
from pywats_reliability.errors import OutcomeUnknownError, ReportInvalidError, ServiceStoppingError, SettingTypeError
from pywats_reliability.ipc import Answer, CommandHandler
from pywats_reliability.queue_manager import PRIORITY_DEFAULT, QueueManager
from pywats_reliability.workers import Workers


class Commanded(Protocol):
    """What the commands need of the service."""

    config: ClientConfig
    data: Path

    @property
    def workers(self) -> Workers:
        """Threads for what may block."""
        ...

    @property
    def queue(self) -> QueueManager:
        """Where reports are handed over."""
        ...

    def status_data(self) -> dict[str, Any]:
        """Return what the service says of itself."""
        ...

    def request_shutdown(self) -> None:
        """Ask for the stop."""
        ...

    def request_restart(self) -> None:
        """Ask for the stop and a new start."""
        ...

    def sync_now(self) -> int:
        """Try every waiting report at once; return how many waited."""
        ...

    @property
    def converters(self) -> AsyncConverterPool:
        """What turns dropped files into reports."""
        ...

    async def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Change, save and apply settings, or raise and change nothing."""
        ...


class Commands:
    """The handlers of one service."""

    def __init__(self, service: Commanded) -> None:
        self._service = service

    def handlers(self) -> dict[str, CommandHandler]:
        """Return the handler of each command."""
        queue = QueueCommands(self._service.queue, self._service.data, self._service.workers).handlers()
        for name in ("retry_failed", "discard_failed"):
            queue[name] = may_be_late(name, queue[name], "ask show_report", is_at_it=self._is_changing)
        return {
            "get_status": self.get_status,
            "get_config": self.get_config,
            "set_config": may_be_late("set_config", self.set_config, "ask get_config", is_at_it=lambda _: True),
            "stop": self.stop,
            "restart": self.restart,
            "submit": self.submit,
            **queue,
            "sync_now": self.sync_now,
            "get_converters": self.get_converters,
            "start_converter": self.start_converter,
            "stop_converter": self.stop_converter,
            "test_server": self.test_server,
        }

    async def get_status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the service is."""
        return self._service.status_data()

    async def get_config(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings in force, secrets masked."""
        return self._service.config.masked()

    async def set_config(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Change settings (``settings``: an object) all together or not at all; return those in force, masked."""
        self._require_running("set_config")
        changes = args.get("settings", args.get("config"))
        if not isinstance(changes, dict):
            raise SettingTypeError("settings", "an object of settings", "none")
        await self._service.change_settings(changes)
        return self._service.config.masked()

    async def stop(self, _: Mapping[str, Any]) -> Answer:
        """Ask for the stop, once this answer is on its way."""
        return Answer({"requested": True}, self._service.request_shutdown)

    async def restart(self, _: Mapping[str, Any]) -> Answer:
        """Ask for a stop and a new start, once this answer is on its way."""
        self._require_running("restart")
        return Answer({"requested": True}, self._service.request_restart)

    async def submit(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Accept ``report`` (JSON text, or an object) with a ``priority`` of 1 to 10; return its id once durable."""
        report, priority = args.get("report"), args.get("priority", PRIORITY_DEFAULT)
        if not isinstance(report, str | dict):
            raise ReportInvalidError("args.report as JSON text or an object", "neither")
        if type(priority) is not int or not 1 <= priority <= 10:
            raise ReportInvalidError("args.priority as a whole number from 1 to 10", "something else")
        queue = self._service.queue
        whole = await queue.parsed(report)
        try:
            return {"id": await queue.submit(whole, priority=priority)}
        except asyncio.CancelledError as cut_off:
            if not queue.may_be_kept(whole.id):
                raise  # And never will be.
            raise OutcomeUnknownError("submit", f"ask show_report for {whole.id}") from cut_off

    async def sync_now(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Try every report that waits for its retry at once."""
        self._require_running("sync_now")
        return {"waiting": self._service.sync_now()}

    async def get_converters(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return each converter, the most urgent first: what it is, how it is, and what it has done."""
        return self._service.converters.describe()

    async def start_converter(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Let the converter ``name`` work until the next start, also one that is disabled."""
        self._require_running("start_converter")
        name = _converter_name(args)
        self._service.converters.start_converter(name)
        return {"name": name, "wanted": True}

    async def stop_converter(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Let the converter ``name`` end after what it is converting, until the next start."""
        self._require_running("stop_converter")
        name = _converter_name(args)
        self._service.converters.stop_converter(name)
        return {"name": name, "wanted": False}

    async def test_server(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the server for its version, with ``settings`` (an object, may be empty) tried but not put in force."""
        changes = args.get("settings", {})
        if not isinstance(changes, dict):
            raise SettingTypeError("settings", "an object of settings", "something else")
        return await try_server(self._service.config, changes)

    def _is_changing(self, args: Mapping[str, Any]) -> bool:
        return self._service.queue.is_changing(str(args.get("id")))

    def _require_running(self, operation: str) -> None:
        if not self._service.queue.is_accepting:
            raise ServiceStoppingError(operation)

    def __repr__(self) -> str:
        return f"Commands({len(self.handlers())} commands)"


def _converter_name(args: Mapping[str, Any]) -> str:
    name = args.get("name")
    if not isinstance(name, str):
        raise SettingTypeError("args.name", "the name of a converter", "something else" if "name" in args else "none")
    return name
