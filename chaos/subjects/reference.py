"""The reference service as a subject: how to start it, where it keeps reports, what its own client raises."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.errors import CommandRefusedError, CommandUnansweredError, UsageError
from chaos.protocols import KeptReport, Site, StartLine
from pywats_reliability.errors import IPCError, IPCRemoteError
from pywats_reliability.ipc import AsyncIPCClient, UnixAddress, load_secret, secret_path
from pywats_reliability.shutdown import EXIT_CLEAN, EXIT_FAILED, EXIT_FORCED

FOLDERS = ("pending", "failed", "quarantine", "sent")
TOKEN = "c3RhdGlvbjpzZWNyZXQ="  # noqa: S105 - base64 of station:secret, for a server on loopback
SETTINGS = {"api_token": TOKEN, "retry_interval_seconds": 1, "retry_cap_seconds": 2.0, "min_free_disk_bytes": 0}
"""What every run starts with: the timing of retries shortened, as a live world cannot jump over it."""

CONFIGURATOR = "configurator:"  # What a probe's name begins with that needs Qt.
_RUNS = {
    "watchdog": "client_service.rhythms:Rhythms.watchdog",
    "ping": "client_service.rhythms:Rhythms.ping",
    "register": "client_service.rhythms:Rhythms.register",
    "pending_queue": "pending_queue:AsyncPendingQueue.run",
    "converter_pool": "converter_pool:AsyncConverterPool.run",
    "config_watcher": "config_file:ConfigWatcher.run",
    "task_monitor": "supervisor:Supervisor._monitor",
    "ipc_server": "ipc:AsyncIPCServer.run",
    "health_server": "health_server:HealthServer.run",
}
"""The coroutine that each background task runs, anew at every restart."""
_TICKS = {
    "watchdog": "client_service.rhythms:Rhythms.look_after_the_house",
    "ping": "client_service.rhythms:Rhythms.ask_for_a_sign_of_life",
    "register": "client_service.rhythms:Rhythms.introduce",
    "pending_queue": "pending_queue:AsyncPendingQueue._free_slots",
    "converter_pool": "converter_pool:AsyncConverterPool._begin_conversions",
    "config_watcher": "config_file:ConfigWatcher.look",
}
"""What a background task calls once in each of its rounds, where there is such a function."""
_FAILPOINTS = {
    "sending": "pywats_reliability.wats_client:WatsClient.send#before",
    "failed_is_told": "pywats_reliability.queue_manager:QueueManager.failed#before",
    "command:submit": "pywats_reliability.client_service.commands:Commands.submit#before",
    "command:get_status": "pywats_reliability.client_service.commands:Commands.get_status#before",
    "before_mark_sent": "pywats_reliability.store:ReportStore.mark_sent#before",
    "task:pending_queue": "pywats_reliability.pending_queue:AsyncPendingQueue.run#before",
    "task:ping": "pywats_reliability.client_service.rhythms:Rhythms.ask_for_a_sign_of_life#before",
    "task:config_watcher": "pywats_reliability.config_file:ConfigWatcher.look#before",
    **{f"run:{task}": f"pywats_reliability.{coroutine}#before" for task, coroutine in _RUNS.items()},
    **{f"tick:{task}": f"pywats_reliability.{function}#before" for task, function in _TICKS.items()},
    "an_upload": "pywats_reliability.pending_queue:AsyncPendingQueue._upload#before",
    "before_the_write": "pywats_reliability.store.batches:WritePlan._write#before",
    "before_the_publish": "pywats_reliability.store.batches:WritePlan._publish#before",
    "after_the_publish": "pywats_reliability.store.batches:WritePlan._publish#after",
    "before_the_move": "pywats_reliability.store.batches:MovePlan._rename#before",
    "after_the_move": "pywats_reliability.store.batches:MovePlan._rename#after",
    "before_the_recovery": "pywats_reliability.store.reconciliation:Reconciliation._load#before",
    "after_the_recovery": "pywats_reliability.store.reconciliation:Reconciliation.recover#after",
    "before_the_conversion": "pywats_reliability.converter_pool.conversion:Conversion._convert#before",
    "before_the_hand_over": "pywats_reliability.converter_pool.conversion:Conversion._hand_over#before",
    "after_the_hand_over": "pywats_reliability.converter_pool.conversion:Conversion._hand_over#after",
    "before_the_filing": "pywats_reliability.converter_pool.filing:Filing.move#before",
    "after_the_filing": "pywats_reliability.converter_pool.filing:Filing.move#after",
    "remembering_the_stop": "pywats_reliability.client_service.service:_save_memory#before",
    "closing_connection": "pywats_reliability.wats_client:WatsClient.aclose#after",
    "closing_converters": "pywats_reliability.converter_pool:AsyncConverterPool.close#after",
    "closing_ipc": "pywats_reliability.ipc:AsyncIPCServer.close#after",
    "closing_health": "pywats_reliability.health_server:HealthServer.close#after",
}
_EXITS = {EXIT_CLEAN: "clean", EXIT_FORCED: "forced", EXIT_FAILED: "failed"}


class ReferenceSubject:
    """``pywats-service run``, in a folder of the run, with every file of its own inside it."""

    name = "reference"
    folders = FOLDERS

    def __repr__(self) -> str:
        return "ReferenceSubject()"

    def start_line(self, site: Site) -> StartLine:
        """Write the configuration and return how to start the service."""
        config = self.config_path(site)
        config.write_text(json.dumps(self._settings(site)), encoding="utf-8")
        arguments = ("run", "--data", str(site.data), "--config", str(config))
        return StartLine("pywats_reliability", arguments, self._environment(site))

    def ipc_address(self, site: Site) -> str:
        """Return the path of the service's socket."""
        return str(site.folder / "service.sock")

    def client(self, site: Site, *, token: str | None = None) -> ReferenceClient:
        """Return a client as the command line uses it."""
        secret = token or self.ipc_token(site)
        return ReferenceClient(AsyncIPCClient(UnixAddress(Path(self.ipc_address(site))), secret=secret))

    def health_url(self, site: Site) -> str:
        """Return where ``/health/details`` is answered."""
        return f"http://127.0.0.1:{self._health_port(site)}/health/details"

    def exit_means(self, code: int) -> str:
        """Return what an exit code says of the stop."""
        return _EXITS.get(code, "crashed")

    def kept_reports(self, site: Site, folder: str) -> Sequence[KeptReport]:
        """Return the reports in a folder, by their contents; what moves away while it is read is left out."""
        found = []
        for path in sorted((site.data / folder).glob("[!.]*.json")):
            if path.name.endswith((".history.json", ".reason.json")) or not _is_plain(path):
                continue
            try:
                body = path.read_bytes()
                found.append(KeptReport(_id_in(body), hashlib.sha256(body).hexdigest(), _attempts(path)))
            except FileNotFoundError:
                continue
        return found

    def folder(self, site: Site, name: str) -> Path:
        """Return one of ``folders`` as a path."""
        return site.data / name

    def config_path(self, site: Site) -> Path:
        """Return the service's configuration file."""
        return site.folder / "config.json"

    def ipc_token(self, site: Site) -> str:
        """Return the secret that the service has made at its first start."""
        return load_secret(secret_path("default", folder=_secrets(site))) or ""

    def failpoint(self, place: str) -> str:
        """Return the dotted name of a place. Raises ``UsageError``."""
        if place not in _FAILPOINTS:
            raise UsageError("a place in the reference service", repr(place), f"known: {', '.join(_FAILPOINTS)}")
        return _FAILPOINTS[place]

    def probe_line(self, probe: str, site: Site, arguments: Mapping[str, Any]) -> StartLine:
        """Return how to run a probe of the service's parts, or a story of its configurator."""
        of_window, story = probe.startswith(CONFIGURATOR), probe.removeprefix(CONFIGURATOR)
        module = "chaos.subjects.configurator.probe" if of_window else "chaos.subjects.reference_probes"
        line = (story, "--folder", str(site.folder), "--arguments", json.dumps(dict(arguments)))
        return StartLine(module, line, self._environment(site))

    def _settings(self, site: Site) -> dict[str, Any]:
        own = {"service_address": site.server_url, "ipc_socket": self.ipc_address(site)}
        return {**SETTINGS, **own, "health_port": self._health_port(site), **site.settings}

    def _health_port(self, site: Site) -> int:
        """Return the run's port for health, chosen once; it is free at the moment of choosing."""
        chosen = site.folder / "health.port"
        if not chosen.exists():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                chosen.write_text(str(probe.getsockname()[1]))
        return int(chosen.read_text())

    def _environment(self, site: Site) -> dict[str, str]:
        """Return what keeps the service's own files (its IPC secret) inside the run's folder."""
        home = str(site.folder)
        return {"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config", "PYTHONUNBUFFERED": "1", "PYWATS_SERVER_URL": ""}


class ReferenceClient:
    """The reference service's own client, its errors told apart into refused and unanswered."""

    def __init__(self, client: AsyncIPCClient) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"ReferenceClient({self._client!r})"

    async def submit(self, body: bytes) -> str:
        """Hand over a report and return its id once it is accepted."""
        return str((await self.request("submit", {"report": body.decode()}))["id"])

    async def request(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Send one command and return the data of its answer."""
        try:
            return await self._client.request(command, arguments)
        except IPCRemoteError as error:
            typed, kind = type(error) is not IPCRemoteError, type(error).__name__
            raise CommandRefusedError(error.remote_code, error.message, error.request_id, kind, typed=typed) from error
        except IPCError as error:
            raise CommandUnansweredError(command, str(error)) from error

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


def _secrets(site: Site) -> Path:
    return site.folder / ".config" / "pywats" / "secrets"


def _is_plain(path: Path) -> bool:
    """Return whether it is a file: a pipe would never be read to its end."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _id_in(body: bytes) -> str:
    try:
        return str(json.loads(body)["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"unreadable ({len(body)} bytes)"


def _attempts(path: Path) -> int:
    try:
        return int(json.loads(path.with_name(f"{path.stem}.history.json").read_bytes())["attempts"])
    except FileNotFoundError:
        return 0
