"""What can go wrong between a client and the service."""

from __future__ import annotations

from pathlib import Path

from pywats_reliability.errors.reports import QueueFullError, ReportInvalidError, ServiceStoppingError
from pywats_reliability.errors.root import ReliabilityError
from pywats_reliability.errors.running import OutcomeUnknownError


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


class IPCOutcomeUnknownError(IPCRemoteError):
    """The command took longer than the service allows, because the disk is at it: it may take effect later."""

    code = OutcomeUnknownError.code


class IPCQueueFullError(IPCRemoteError):
    """The service's queue is at its limit; the report was not taken."""

    code = QueueFullError.code


class IPCServiceStoppingError(IPCRemoteError):
    """The service is stopping; the command was not carried out."""

    code = ServiceStoppingError.code


class IPCReportInvalidError(IPCRemoteError):
    """The service refused the report as no report."""

    code = ReportInvalidError.code


class IPCAddressError(IPCError):
    """The place where the service should listen cannot be used for that."""

    code = "ipc_address"

    def __init__(self, address: str, expected: str, found: str) -> None:
        self.address, self.expected, self.found = address, expected, found
        super().__init__(f"{address}: expected {expected}, found {found}; choose another socket path or instance id")


class IPCSecretError(IPCError):
    """The file with the secret of an instance holds no secret. The message never shows what it does hold."""

    code = "ipc_secret"

    def __init__(self, path: Path, found: str) -> None:
        self.path, self.found = path, found
        super().__init__(
            f"{path}: expected a secret of 64 hex digits, found {found}; remove the file, the next start makes another"
        )


class IPCMessageTooLargeError(IPCError):
    """A request is over the size that the protocol allows; nothing was sent."""

    code = "message_too_large"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes
        super().__init__(
            f"expected a request of at most {limit_bytes} bytes, found {size_bytes}; "
            "hand a large report over as a file in a watched folder"
        )
