"""Every error of the service: one tree, drawn here; each class takes data, keeps it, writes its own one-line message.

* A message says what was expected, what was found, and what to do. It never carries a secret or a report's contents.
* ``code`` is the stable word for the error on the wire (IPC answers) and in metrics.
* Errors about a setting are also the built-in ``KeyError``, ``TypeError`` or ``ValueError`` that a mapping promises.
"""

from __future__ import annotations

from pywats_reliability.errors.by_hand import ExportTargetError
from pywats_reliability.errors.configurator import (
    ActionOverdueError,
    AnswerMalformedError,
    GuiUnavailableError,
    ProgramFailedError,
    UploadFailedError,
)
from pywats_reliability.errors.converting import (
    ConversionError,
    ConversionTimeoutError,
    ConverterLoadError,
    ConverterNotFoundError,
)
from pywats_reliability.errors.ipc import (
    IPCAddressError,
    IPCAuthenticationError,
    IPCCommandTimeoutError,
    IPCConnectionError,
    IPCError,
    IPCMessageTooLargeError,
    IPCOutcomeUnknownError,
    IPCProtocolError,
    IPCQueueFullError,
    IPCRateLimitError,
    IPCRemoteError,
    IPCReportInvalidError,
    IPCSecretError,
    IPCServerRunningError,
    IPCServiceStoppingError,
    IPCTimeoutError,
    IPCUnknownCommandError,
)
from pywats_reliability.errors.reports import (
    FREE_DISK,
    DiskError,
    QueueCriticalError,
    QueueFullError,
    RecordUnreadableError,
    ReportInvalidError,
    ReportNotFoundError,
    SendError,
    ServiceStoppingError,
    StoreLockedError,
)
from pywats_reliability.errors.root import (
    ReliabilityError,
    described,
)
from pywats_reliability.errors.running import (
    CleanupError,
    ListenError,
    OutcomeUnknownError,
    ScopeClosedError,
    StartError,
    StepTimeoutError,
    TaskEndedError,
    TaskNotFoundError,
)
from pywats_reliability.errors.settings import (
    ConfigError,
    ConfigFileError,
    SettingTypeError,
    SettingValueError,
    UnknownSettingAttributeError,
    UnknownSettingError,
)

__all__ = [
    "FREE_DISK",
    "ActionOverdueError",
    "AnswerMalformedError",
    "CleanupError",
    "ConfigError",
    "ConfigFileError",
    "ConversionError",
    "ConversionTimeoutError",
    "ConverterLoadError",
    "ConverterNotFoundError",
    "DiskError",
    "ExportTargetError",
    "GuiUnavailableError",
    "IPCAddressError",
    "IPCAuthenticationError",
    "IPCCommandTimeoutError",
    "IPCConnectionError",
    "IPCError",
    "IPCMessageTooLargeError",
    "IPCOutcomeUnknownError",
    "IPCProtocolError",
    "IPCQueueFullError",
    "IPCRateLimitError",
    "IPCRemoteError",
    "IPCReportInvalidError",
    "IPCSecretError",
    "IPCServerRunningError",
    "IPCServiceStoppingError",
    "IPCTimeoutError",
    "IPCUnknownCommandError",
    "ListenError",
    "OutcomeUnknownError",
    "ProgramFailedError",
    "QueueCriticalError",
    "QueueFullError",
    "RecordUnreadableError",
    "ReliabilityError",
    "ReportInvalidError",
    "ReportNotFoundError",
    "ScopeClosedError",
    "SendError",
    "ServiceStoppingError",
    "SettingTypeError",
    "SettingValueError",
    "StartError",
    "StepTimeoutError",
    "StoreLockedError",
    "TaskEndedError",
    "TaskNotFoundError",
    "UnknownSettingAttributeError",
    "UnknownSettingError",
    "UploadFailedError",
    "described",
]
