"""Every error of the service: one tree, drawn here; each class takes data, keeps it, writes its own one-line message.

* A message says what was expected, what was found, and what to do. It never carries a secret or a report's contents.
* ``code`` is the stable word for the error on the wire (IPC answers) and in metrics.
* Errors about a setting are also the built-in ``KeyError``, ``TypeError`` or ``ValueError`` that a mapping promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self


class ReliabilityError(Exception):
    """The root of everything this package raises on purpose."""

    code: ClassVar[str] = "error"

    def __str__(self) -> str:
        """Return the message as written, also for the classes that are a ``KeyError`` (which would quote it)."""
        return str(self.args[0]) if self.args else type(self).__name__


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


class ServiceStoppingError(ReliabilityError):
    """New work was offered after a stop had been requested."""

    code = "service_stopping"

    def __init__(self, operation: str) -> None:
        self.operation = operation
        super().__init__(f"{operation} refused: the service is stopping; submit again once it runs")


class QueueFullError(ReliabilityError):
    """The queue is at one of its limits; nothing was written.

    ``size`` and ``limit`` are counted in ``unit`` ("reports", "bytes", or "bytes of free disk").
    """

    code = "queue_full"

    def __init__(self, size: int, limit: int, unit: str = "reports") -> None:
        self.size, self.limit, self.unit = size, limit, unit
        super().__init__(
            f"queue full: {size} {unit}, limit {limit}; restore the connection to the server, or raise the limit"
        )


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


class ConfigError(ReliabilityError):
    """The root of what can be wrong with a configuration; nothing was changed."""

    code = "config_invalid"


class UnknownSettingError(ConfigError, KeyError):
    """There is no setting of that name."""

    def __init__(self, key: str, suggestion: str | None = None) -> None:
        self.key, self.suggestion = key, suggestion
        hint = f"did you mean {suggestion!r}?" if suggestion else "see `pywats-service config show` for the names"
        super().__init__(f"{key!r}: expected the name of a setting, found none of that name; {hint}")


class SettingTypeError(ConfigError, TypeError):
    """A value has the wrong type for its setting. ``given`` is already masked for a secret."""

    def __init__(self, key: str, expected: str, given: str) -> None:
        self.key, self.expected, self.given = key, expected, given
        super().__init__(f"{key}: expected {expected}, given {given}; nothing was changed")


class SettingValueError(ConfigError, ValueError):
    """A value is out of its setting's range or enumeration, or breaks a rule across settings."""

    def __init__(self, key: str, expected: str, given: str) -> None:
        self.key, self.expected, self.given = key, expected, given
        super().__init__(f"{key}: expected {expected}, given {given}; nothing was changed")


class ConfigFileError(ConfigError):
    """A configuration file cannot be used; the last good configuration stays in force and the file is untouched."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        self.path, self.expected, self.found = path, expected, found
        super().__init__(f"{path}: expected {expected}, found {found}; mend the file, the last good settings stay")


class IPCError(ReliabilityError):
    """The root of what can go wrong between a client and the service."""

    code = "ipc_error"


class IPCConnectionError(IPCError):
    """There is no service at the address, or the connection to it broke."""

    code = "ipc_connection"

    def __init__(self, address: str, found: str) -> None:
        self.address, self.found = address, found
        super().__init__(f"expected a running service at {address}, found {found}; start it with `pywats-service run`")


class IPCTimeoutError(IPCError):
    """The service did not answer in time; the connection was dropped, so a late answer cannot be taken for another."""

    code = "ipc_timeout"

    def __init__(self, operation: str, limit_s: float) -> None:
        self.operation, self.limit_s = operation, limit_s
        super().__init__(f"{operation}: expected an answer within {limit_s:g} s, found none; look at the service's log")


class IPCProtocolError(IPCError):
    """The peer sent something that the protocol does not have."""

    code = "ipc_protocol"

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"IPC protocol: expected {expected}, found {found}; the connection was closed")


class IPCServerRunningError(IPCError):
    """A live server already answers on the socket."""

    code = "ipc_server_running"

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"{address}: expected no service there, found a live one; stop it, or use another instance id")


class IPCRemoteError(IPCError):
    """The service answered with an error: its stable ``code``, its words, and the request it belongs to.

    Subclasses name the codes a caller may want to catch; ``from_answer`` picks the right one.
    """

    code = "remote_error"

    def __init__(self, code: str, message: str, request_id: str) -> None:
        self.remote_code, self.message, self.request_id = code, message, request_id
        super().__init__(f"{message} [{code}, request {request_id or 'without id'}]")

    @staticmethod
    def from_answer(code: str, message: str, request_id: str) -> IPCRemoteError:
        """Return the error for an answer, typed by its ``code``; an unknown code gives the plain class."""
        kind = next((k for k in IPCRemoteError.__subclasses__() if k.code == code), IPCRemoteError)
        return kind(code, message, request_id)


class IPCAuthenticationError(IPCRemoteError):
    """The token is missing or wrong."""

    code = "authentication"


class IPCRateLimitError(IPCRemoteError):
    """Too many requests in too short a time."""

    code = "rate_limited"


class IPCUnknownCommandError(IPCRemoteError):
    """The service has no command of that name."""

    code = "unknown_command"


class IPCCommandTimeoutError(IPCRemoteError):
    """The command took longer than the service allows; it was cancelled and has no later effect."""

    code = "processing_timeout"


class IPCQueueFullError(IPCRemoteError):
    """The service's queue is at its limit; the report was not taken."""

    code = QueueFullError.code


class IPCServiceStoppingError(IPCRemoteError):
    """The service is stopping; the command was not carried out."""

    code = ServiceStoppingError.code


class IPCReportInvalidError(IPCRemoteError):
    """The service refused the report as no report."""

    code = ReportInvalidError.code


class StartError(ReliabilityError):
    """A step of the start failed; everything started before it was released again."""

    code = "start_failed"

    def __init__(self, step: str, cause: BaseException) -> None:
        self.step, self.cause = step, cause
        super().__init__(f"start failed at {step}: {cause}")


class TaskEndedError(ReliabilityError):
    """A background task that should run until it is stopped, ended in a way that is no ordinary exception."""

    code = "task_ended"

    def __init__(self, task: str, found: str) -> None:
        self.task, self.found = task, found
        super().__init__(f"task {task}: expected it to run until stopped, found that it {found}; mend the task")


class TaskNotFoundError(ReliabilityError):
    """An action by hand named a background task that the service does not have."""

    code = "task_not_found"

    def __init__(self, task: str, known: Sequence[str]) -> None:
        self.task, self.known = task, tuple(known)
        names = ", ".join(known) or "none"
        super().__init__(f"expected the name of a background task, found {task!r}; the service has: {names}")


class StepTimeoutError(ReliabilityError):
    """A step of a stop took longer than its limit; ``left_behind`` when it ignored its cancellation too."""

    code = "step_timeout"

    def __init__(self, step: str, limit_s: float, *, left_behind: bool = False) -> None:
        self.step, self.limit_s, self.left_behind = step, limit_s, left_behind
        found = "it still running, deaf to its cancellation" if left_behind else "it still running; it was cancelled"
        super().__init__(f"{step}: expected it to end within {limit_s:g} s, found {found}; look at what it waits for")


class ScopeClosedError(ReliabilityError):
    """Something was handed to a scope that has closed already; who opened it must close it."""

    code = "scope_closed"

    def __init__(self, scope: str, step: str) -> None:
        self.scope, self.step = scope, step
        super().__init__(f"{scope}: expected to own {step}, found that closed already; close {step} where it opened")


class CleanupError(ReliabilityError, ExceptionGroup[Exception]):
    """Some steps of a cleanup failed; all the others ran. ``failures`` pairs each step's name with its exception."""

    code = "cleanup_failed"

    def __new__(cls, owner: str, failures: Sequence[tuple[str, Exception]]) -> Self:
        """Make the group that the exceptions form, so that ``except*`` and tracebacks see each of them."""
        return super().__new__(cls, owner, [error for _, error in failures])

    def __init__(self, owner: str, failures: Sequence[tuple[str, Exception]]) -> None:
        self.owner, self.failures = owner, tuple(failures)
        found = ", ".join(f"{step} ({type(error).__name__})" for step, error in failures)
        words = f"{owner}: expected every step to close, found {len(failures)} failed: {found}; the log tells why"
        super().__init__(words, self.exceptions)

    def derive(self, excs: Sequence[Exception]) -> ExceptionGroup[Exception]:  # type: ignore[override]
        """Return a plain group of some of the exceptions, for ``except*`` and ``split``."""
        return ExceptionGroup(self.owner, excs)


class ListenError(ReliabilityError):
    """A server of ours could not open its port."""

    code = "listen_failed"

    def __init__(self, server: str, host: str, port: int, cause: OSError) -> None:
        self.server, self.host, self.port, self.cause = server, host, port, cause
        words = cause.strerror or type(cause).__name__
        super().__init__(
            f"{server}: expected to listen on {host}:{port}, found {words}; free the port or configure another"
        )
