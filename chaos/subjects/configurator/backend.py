"""What a healthy service would answer to the configurator: a real configuration, and figures that never change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pywats_reliability.config import ClientConfig

TOKEN = "c2VjcmV0OnNlY3JldA=="  # noqa: S105 - of nobody
FAILED_ID = "7f3a3c1e-0000-4000-8000-000000000001"
SENT_ID = "7f3a3c1e-0000-4000-8000-000000000002"
_QUEUE = {
    "total_submitted": 14, "successful": 12, "errors": 1, "retries": 2, "queued_files": 3, "stuck_files": 1,
    "active_uploads": 1, "max_queue_size": 10_000,
}  # fmt: skip


class Backend:
    """The answers of one service; ``reset`` brings the first configuration back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = ClientConfig()
        self.reset()

    def reset(self) -> None:
        """Be as at the beginning."""
        converter = {"name": "csv", "module_path": "a.b:C", "watch_folder": "in/one"}
        preset = {"key": "one", "name": "Station 1", "location": "Hall A"}
        self.config = ClientConfig(
            converters=[converter], station_presets=[preset], log_file="client.log", station_name="Line 3",
            location="Hall B", service_address="https://wats.example.com", api_token=TOKEN,
        )  # fmt: skip
        self.folder.mkdir(exist_ok=True)
        (self.folder / "client.log").write_text("level=INFO logger=x message=started\nlevel=ERROR message=bad\n")

    def answers(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the answer of each command."""
        return {
            "ping": lambda _: {"pong": True, "authenticated": True},
            "get_status": lambda _: self._status(),
            "get_config": lambda _: self.config.masked(),
            "set_config": self._set_config,
            "get_queue": lambda args: self._queue(str(args.get("folder"))),
            "get_converters": lambda _: self._converters(),
            "start_converter": lambda args: self._switch(str(args["name"]), on=True),
            "stop_converter": lambda args: self._switch(str(args["name"]), on=False),
            "get_data_folder": lambda _: {"data": str(self.folder)},
            "show_report": lambda args: {"id": args["id"], "places": [{"folder": "sent", "path": "x"}]},
            "submit": lambda _: {"id": SENT_ID},
            "sync_now": lambda _: {"waiting": 3},
            "retry_failed": lambda _: {"retried": 1},
            "discard_failed": lambda _: {"discarded": 1},
            "test_server": lambda _: {"service_address": "https://wats.example.com", "version": "2026.1"},
            "restart": lambda _: {"requested": True},
        }

    def _status(self) -> dict[str, Any]:
        return {
            "status": "Running", "api_status": "Online", "degraded": False, "reasons": [], "uptime_seconds": 5.0,
            "pending_queue": dict(_QUEUE),
        }  # fmt: skip

    def _set_config(self, args: Mapping[str, Any]) -> dict[str, Any]:
        self.config.update(args["settings"])
        return self.config.masked()

    def _queue(self, folder: str) -> dict[str, Any]:
        record = {"id": FAILED_ID, "accepted_at": "2026-11-24T10:00:00+00:00", "size": 2048, "file": "x.json"}
        records = [record] if folder == "failed" else []
        return {"folder": folder, "count": len(records), "records": records}

    def _converters(self) -> list[dict[str, Any]]:
        return [{"name": c.name, "enabled": c.enabled, "priority": c.priority} for c in self.config.converters]

    def _switch(self, name: str, *, on: bool) -> dict[str, Any]:
        changed = [{**c.to_dict(), "enabled": on if c.name == name else c.enabled} for c in self.config.converters]
        self.config["converters"] = changed
        return {"name": name, "enabled": on}

    def __repr__(self) -> str:
        return f"Backend({self.config!r})"
