"""Supervision: the only place that starts tasks, so that none of them can die in silence (C2)."""

from pywats_reliability.supervisor.restart_policy import SupervisionLimits
from pywats_reliability.supervisor.supervised_task import TaskSpec
from pywats_reliability.supervisor.supervisor import MONITOR, Supervisor

__all__ = ["MONITOR", "SupervisionLimits", "Supervisor", "TaskSpec"]
