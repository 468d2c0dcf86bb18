"""What can go wrong with a report, the queue, the disk or the way to the server."""

from __future__ import annotations

from pathlib import Path

from pywats_reliability.errors.root import ReliabilityError

FREE_DISK = "bytes of free disk"

class ReportInvalidError(ReliabilityError):
    """What was handed over is no report that could ever be delivered."""

    code = "report_invalid"

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"not a report: expected {expected}, found {found}; mend the report and submit it again")


class ReportNotFoundError(ReliabilityError):
    """An action by hand named a report that is not in the folder it must be in."""

    code = "report_not_found"

    def __init__(self, report_id: str, folder: str) -> None:
        self.report_id, self.folder = report_id, folder
        super().__init__(f"expected report {report_id} in {folder}/, found none; list the folder to see the ids it has")


class RecordUnreadableError(ReliabilityError):
    """A record turned out to be no report that could be sent; it has left the queue."""

    code = "record_unreadable"

    def __init__(self, report_id: str, found: str, place: str) -> None:
        self.report_id, self.found, self.place = report_id, found, place
        super().__init__(
            f"report {report_id}: expected its record in pending/ to be whole, found that it is not ({found});"
            f" see {place}"
        )


class ServiceStoppingError(ReliabilityError):
    """New work was offered after a stop had been requested."""

    code = "service_stopping"

    def __init__(self, operation: str) -> None:
        self.operation = operation
        super().__init__(f"{operation} refused: the service is stopping; submit again once it runs")


class QueueFullError(ReliabilityError):
    """The queue is at one of its limits; nothing was written.

    ``size`` and ``limit`` are counted in ``unit``: "reports", "bytes", or ``FREE_DISK``.
    """

    code = "queue_full"

    def __init__(self, size: int, limit: int, unit: str = "reports") -> None:
        self.size, self.limit, self.unit = size, limit, unit
        advice = "restore the connection to the server, or raise the limit"
        if unit == FREE_DISK:
            advice = "free some space, or lower min_free_disk_bytes"
        super().__init__(f"queue full: {size} {unit}, limit {limit}; {advice}")


class QueueCriticalError(ReliabilityError):
    """Sending failed and its outcome could not be saved either: both causes, for the person who must act."""

    code = "queue_critical"

    def __init__(self, report_id: str, send_error: str, save_error: str) -> None:
        self.report_id, self.send_error, self.save_error = report_id, send_error, save_error
        super().__init__(
            f"report {report_id}: sending failed ({send_error}) and the outcome could not be saved ({save_error});"
            " the report stays in pending/; mend the disk"
        )


class DiskError(ReliabilityError):
    """The operating system refused a file operation; what was being saved is not saved.

    ``error_number`` is the ``errno`` (0 when there was none).
    """

    code = "disk_error"

    def __init__(self, action: str, path: Path, cause: OSError) -> None:
        self.action, self.path, self.cause = action, path, cause
        self.error_number = cause.errno or 0
        words = cause.strerror or type(cause).__name__
        super().__init__(f"could not {action} {path}: {words}; free or mend the disk and try again")


class StoreLockedError(ReliabilityError):
    """Another live process holds the data folder."""

    code = "store_locked"

    def __init__(self, folder: Path, holder: str) -> None:
        self.folder, self.holder = folder, holder
        super().__init__(f"{folder} is in use by {holder}; stop that service or choose another --data folder")


class SendError(ReliabilityError):
    """A report did not reach the server, or nothing proves that it did; it is still in ``pending/``."""

    code = "send_failed"
