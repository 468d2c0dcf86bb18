"""Sending: uploads what is in ``pending/`` until the server has it (H1)."""

from pywats_reliability.pending_queue.outcomes import UploadSettings
from pywats_reliability.pending_queue.protocols import PendingStore, QueuedRecord, UploadObserver
from pywats_reliability.pending_queue.queue import AsyncPendingQueue, UploadStats

__all__ = ["AsyncPendingQueue", "PendingStore", "QueuedRecord", "UploadObserver", "UploadSettings", "UploadStats"]
