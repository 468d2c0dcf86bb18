"""What can keep the configurator from its work: no Qt, an answer that makes no sense, an action without an end."""

from __future__ import annotations

from pywats_reliability.errors.root import ReliabilityError


class GuiUnavailableError(ReliabilityError):
    """There is no Qt to be had here; everything but the configurator works without it."""

    code = "gui_unavailable"

    def __init__(self, expected: str, found: str, to_do: str) -> None:
        self.expected, self.found, self.to_do = expected, found, to_do
        super().__init__(f"the configurator: expected {expected}, found {found}; {to_do}")


class AnswerMalformedError(ReliabilityError):
    """The service answered with success, but with something that the command does not give: it is no success."""

    code = "answer_malformed"

    def __init__(self, command: str, expected: str, found: str) -> None:
        self.command, self.expected, self.found = command, expected, found
        super().__init__(
            f"{command}: expected {expected}, found {found}; "
            "look at the service's log, and whether the service and the configurator are of one version"
        )


class ActionOverdueError(ReliabilityError):
    """An action was not through by its deadline and was cancelled; whether it had an effect is unknown."""

    code = "action_overdue"

    def __init__(self, action: str, limit_s: float) -> None:
        self.action, self.limit_s = action, limit_s
        super().__init__(
            f"{action}: expected an end within {limit_s:g} s, found none, and whether it had an effect is unknown; "
            "reload the page to see how things are, then try again"
        )


class ProgramFailedError(ReliabilityError):
    """A program that the configurator had started did not do what it was started for."""

    code = "program_failed"

    def __init__(self, program: str, expected: str, found: str) -> None:
        self.program, self.expected, self.found = program, expected, found
        super().__init__(f"{program}: expected {expected}, found {found}; run it by hand to see more")


class UploadFailedError(ReliabilityError):
    """A report that was handed over to try the way out did not reach the server."""

    code = "upload_failed"

    def __init__(self, report_id: str, found: str, to_do: str) -> None:
        self.report_id, self.found = report_id, found
        super().__init__(f"test report {report_id}: expected it on the server, found {found}; {to_do}")
