"""A WATS server for tests: real HTTP in its own process, that counts what it takes and misbehaves on command."""

from __future__ import annotations

from chaos.live.wats_server.client import ServerGoneError, WatsServerClient
from chaos.live.wats_server.process import MODULE, Announcement, serve_until_signal
from chaos.live.wats_server.running import RunningWatsServer, running_wats_server
from chaos.live.wats_server.server import WatsServer
from chaos.wats_server.deliveries import ReportDeliveries
from chaos.wats_server.events import EventKind, ServerEvent
from chaos.wats_server.memory import ServerSettings
from chaos.wats_server.replies import AnswerShape
from chaos.wats_server.traces import RequestTrace

__all__ = [
    "MODULE",
    "Announcement",
    "AnswerShape",
    "EventKind",
    "ReportDeliveries",
    "RequestTrace",
    "RunningWatsServer",
    "ServerEvent",
    "ServerGoneError",
    "ServerSettings",
    "WatsServer",
    "WatsServerClient",
    "running_wats_server",
    "serve_until_signal",
]
