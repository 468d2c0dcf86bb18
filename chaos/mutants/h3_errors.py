"""Mistakes by which errors reach nobody who can act, or carry what nobody may read."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.errors import IPCRemoteError, QueueCriticalError, ReportInvalidError
from pywats_reliability.events import Event

OUTCOMES = "pywats_reliability.pending_queue.outcomes"
CLIENT = "pywats_reliability.ipc.client:AsyncIPCClient"


def _silent() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.nobody")
    logger.disabled = True
    return logger


@mutant("H3.1")
def tells_nobody_of_a_failure(service: Replacements) -> None:
    """Tells of a failure when it is final: before that, all may still be well."""

    def made(original: Any, self: Any, *given: Any, **more: Any) -> None:
        original(self, *given, **more)
        self._failed = Event("failed")

    service.wrap(f"{OUTCOMES}:Outcomes.__init__", made)


@mutant("H3.1")
def logs_no_failures(service: Replacements) -> None:
    """Logs nothing of a failed attempt, as there will be many while the server is away."""
    service.replace(f"{OUTCOMES}:log", _silent())
    service.replace("pywats_reliability.pending_queue.queue:log", _silent())


@mutant("H3.1")
def keeps_no_story(service: Replacements) -> None:
    """Counts attempts in memory: the file beside the record costs a sync each time."""

    async def record_attempt(*_: Any) -> int:
        return 1

    service.replace("pywats_reliability.store.report_store:ReportStore.record_attempt", record_attempt)


@mutant("H3.3")
def gives_none_for_an_error(service: Replacements) -> None:
    """Gives back nothing when the service answers with an error: there is no data in it."""

    async def request(original: Any, *given: Any, **more: Any) -> Any:
        try:
            return await original(*given, **more)
        except IPCRemoteError:
            return None

    service.wrap(f"{CLIENT}.request", request)


@mutant("H3.3")
def raises_one_class_for_all(service: Replacements) -> None:
    """Raises one class for every error: the code says which it is."""

    def from_answer(code: str, text: str, request_id: str) -> IPCRemoteError:
        return IPCRemoteError(code, text, request_id)

    service.replace("pywats_reliability.errors.ipc:IPCRemoteError.from_answer", staticmethod(from_answer))


@mutant("H3.3")
def guesses_the_code(service: Replacements) -> None:
    """Answers every bad report as a bad request, which is what it is."""
    service.replace("pywats_reliability.errors.reports:ReportInvalidError.code", "bad_request")


@mutant("H3.4")
def logs_it_as_any_error(service: Replacements) -> None:
    """Logs what could not be saved as an error: the report is still there."""

    def tell(self: Any, record: Any, send_error: str, save_error: BaseException) -> None:
        is_whole = isinstance(save_error, QueueCriticalError)
        error = save_error if is_whole else QueueCriticalError(record.report_id, send_error, str(save_error))
        logging.getLogger(OUTCOMES).error("%s", error)
        self._critical.emit(error)

    service.replace(f"{OUTCOMES}:Outcomes._tell_critical", tell)


@mutant("H3.4")
def tells_the_last_cause_only(service: Replacements) -> None:
    """Tells of the disk, which is what must be mended."""

    def made(original: Any, self: Any, report_id: str, send_error: str, save_error: str) -> None:
        original(self, report_id, "", save_error)

    service.wrap("pywats_reliability.errors.reports:QueueCriticalError.__init__", made)


@mutant("H3.4")
def shows_it_in_the_log_only(service: Replacements) -> None:
    """Leaves it to the log, which is where one looks when something is wrong."""
    service.replace("pywats_reliability.client_service.service:AsyncClientService._note_critical", lambda *_: None)


@mutant("H3.5")
def repeats_what_the_server_said(service: Replacements) -> None:
    """Repeats the server's words as they are: they say best what is wrong."""
    service.replace("pywats_reliability.retry:scrub", lambda text, _: text)
    service.replace("pywats_reliability.retry:_scrubbed", lambda words, _: words)


@mutant("H3.5", subtle="only when somebody quotes the password for the proxy")
def withholds_what_it_has_sent(service: Replacements) -> None:
    """Withholds the token and what was sent to a proxy: nobody can quote what he was never told."""

    def request(original: Any, line: Any, *given: Any, **more: Any) -> Any:
        return replace(original(line, *given, **more), withheld=())

    service.wrap("pywats_reliability.wats_client.line:Line.request", request)


@mutant("H3.5")
def shows_the_settings_as_they_are(service: Replacements) -> None:
    """Shows the settings as they are, so that the configurator can fill in its fields."""

    async def get_config(self: Any, _: Any) -> Any:
        return self._service.config.to_dict()

    service.replace("pywats_reliability.client_service.commands:Commands.get_config", get_config)


@mutant("H3.5")
def quotes_the_bad_report(service: Replacements) -> None:
    """Quotes the report that it refuses, so that its author sees what is wrong."""

    def parsed(original: Any, source: Any) -> Any:
        try:
            return original(source)
        except ReportInvalidError as error:
            raise ReportInvalidError(str(error), repr(source)[:300]) from error

    service.wrap("pywats_reliability.report:parse_report", parsed)
