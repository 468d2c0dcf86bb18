"""A changed configuration taken into force while the service runs: what follows at once, and what needs a restart.

* At once: limits of the store, the way to the server (also its timeout), sending, converters, supervision, the windows
  of a stop that has not begun, and IPC's limits for connections from now on. Nothing under way is cut off by it.
* Where the service listens, where it logs and what it is called belong to its start: the log and the status name those
  settings that wait for the next one, so that nobody takes a saved value for one in force (C2.9).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pywats_reliability.client_service import settings
from pywats_reliability.client_service.parts import Parts
from pywats_reliability.config import ClientConfig
from pywats_reliability.ipc import AsyncIPCServer
from pywats_reliability.queue_manager import FullAction
from pywats_reliability.shutdown import Shutdown
from pywats_reliability.supervisor import Supervisor

NEED_A_RESTART = (
    "instance_id", "ipc_socket", "health_host", "health_port", "log_file", "log_level", "converters_folder",
)  # fmt: skip
log = logging.getLogger(__name__)


class NewSettings:
    """The hand that turns a running service to another configuration; ``started_with`` is the one of its start."""

    def __init__(self, started_with: Mapping[str, Any], parts: Parts, supervisor: Supervisor, shutdown: Shutdown):
        self._started_with = {key: started_with[key] for key in NEED_A_RESTART}
        self._parts, self._supervisor, self._shutdown = parts, supervisor, shutdown
        self.waiting: tuple[str, ...] = ()
        """The settings that have changed and are in force with the next start only."""

    def apply(self, new: ClientConfig, ipc: AsyncIPCServer | None) -> None:
        """Take ``new`` into force; it is valid, so nothing in it is refused."""
        parts = self._parts
        parts.store.limit(settings.store_limits(new))
        parts.queue.full_action = FullAction(new.queue_full_action)
        self._apply_to_sending(new)
        parts.converter_pool.adopt(settings.converters(new), settings.pool_settings(new))
        self._supervisor.limit(settings.supervision_limits(new))
        self._shutdown.limit(settings.shutdown_limits(new))
        if ipc is not None:
            ipc.limit(settings.ipc_limits(new))
        if parts.watcher is not None:
            parts.watcher.current = new  # So that the file, which was saved before this, is no news to it.
        self._tell_what_waits(new)

    def _apply_to_sending(self, new: ClientConfig) -> None:
        parts = self._parts
        parts.pending_queue.settings = settings.upload_settings(new)
        parts.client.update(
            new.service_address,
            new.api_token,
            timeout_s=new.upload_timeout_seconds,
            max_concurrent=new.max_concurrent_uploads,
            proxy=settings.proxy_settings(new),
        )
        parts.pending_queue.resume()

    def _tell_what_waits(self, new: ClientConfig) -> None:
        before = self.waiting
        self.waiting = tuple(key for key, value in self._started_with.items() if new[key] != value)
        if self.waiting and self.waiting != before:
            log.warning("in force with the next start only: %s", ", ".join(self.waiting))

    def __repr__(self) -> str:
        return f"NewSettings({', '.join(self.waiting) or 'nothing'} waiting for a restart)"
