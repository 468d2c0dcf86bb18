"""A WATS server for tests, without the world it runs in: it counts what it takes and misbehaves by rules.

The live world runs it as a process with a control port (``chaos.live.wats_server``), the simulated one as a coroutine
of a simulated process (``chaos.sim.wats_server``). Every line that decides anything is here, once.
"""

from __future__ import annotations

from chaos.wats_server.deliveries import ReportDeliveries
from chaos.wats_server.events import EventKind, ServerEvent
from chaos.wats_server.memory import ServerSettings
from chaos.wats_server.replies import AnswerShape
from chaos.wats_server.report_server import ReportServer
from chaos.wats_server.traces import RequestTrace

__all__ = [
    "AnswerShape",
    "EventKind",
    "ReportDeliveries",
    "ReportServer",
    "RequestTrace",
    "ServerEvent",
    "ServerSettings",
]
