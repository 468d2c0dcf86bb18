"""The durable store of reports, in front of which the queue stands: what others may use of it."""

from pywats_reliability.store.folders import FolderName
from pywats_reliability.store.history import History, HistoryEvent
from pywats_reliability.store.limits import StoreCounts, StoreLimits
from pywats_reliability.store.names import Record
from pywats_reliability.store.recovery import Recovery
from pywats_reliability.store.report_store import ReportStore

__all__ = [
    "FolderName",
    "History",
    "HistoryEvent",
    "Record",
    "Recovery",
    "ReportStore",
    "StoreCounts",
    "StoreLimits",
]
