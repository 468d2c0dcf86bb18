"""What every page is given: where the service is, who starts tasks, what changes are told of, and how long to wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pywats_reliability.gui.queue_signals import QueueSignals
from pywats_reliability.gui.service_link import ServiceLink
from pywats_reliability.scope import TaskStarter


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and rhythms, in seconds."""

    load_s: float = 10.0
    action_s: float = 20.0
    upload_s: float = 45.0
    program_s: float = 60.0
    poll_s: float = 3.0
    log_s: float = 1.0
    sure_s: float = 5.0
    follow_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Workplace:
    """The surroundings of a page; all of it outlives the page."""

    config_path: Path
    data: Path
    link: ServiceLink
    queue: QueueSignals
    tasks: TaskStarter
    limits: Limits = field(default_factory=Limits)
