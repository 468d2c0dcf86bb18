"""Mistakes about signals, about files that are converted or saved, and about a network that breaks during the stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.protocols import WorldKind
from chaos.replacements import Replacements
from pywats_reliability.answers import RetryLater
from pywats_reliability.converters import PostAction
from pywats_reliability.shutdown import EXIT_CLEAN

SERVICE = "pywats_reliability.client_service.service:AsyncClientService"
POOL = "pywats_reliability.converter_pool"
DISK = "pywats_reliability.disk:Disk"
Result = Callable[..., Any]


@mutant("C1.7")
def one_signal_is_as_good_as_two(service: Replacements) -> None:
    """Hears the first signal and no other: the stop is under way, what else could anybody want?"""

    def first_only(original: Result, self: Any) -> None:
        if not self.shutdown_requested.is_set():
            original(self)

    service.wrap(f"{SERVICE}.request_shutdown", first_only)


@mutant("C1.7", subtle="only the exit code tells")
def a_forced_stop_is_a_clean_one(service: Replacements) -> None:
    """Ends with 0 whenever nothing was lost, so that no service manager worries."""
    service.replace("pywats_reliability.shutdown:ShutdownReport.exit_code", property(lambda report: EXIT_CLEAN))


@mutant("C1.7", subtle="only the second signal")
def the_second_signal_kills(service: Replacements) -> None:
    """Takes its handler back after the first signal, so that an impatient person can end the process at once."""

    def then_as_usual(original: Result, self: Any) -> None:
        original(self)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    service.wrap(f"{SERVICE}.request_shutdown", then_as_usual)


@mutant("C1.9", subtle="only when it is killed between the two")
def files_away_before_it_hands_over(service: Replacements) -> None:
    """Files a source away as soon as it was read: two conversions of one file would be worse."""

    async def hand_over(original: Result, conversion: Any, reports: Any) -> None:
        await conversion._file(PostAction(conversion._config.post_action))
        await original(conversion, reports)

    service.wrap(f"{POOL}.conversion:Conversion._hand_over", hand_over)


@mutant("C1.9", subtle="only when the writer pauses")
def takes_what_it_sees(service: Replacements) -> None:
    """Takes a file when it is there: testers write their files in one go."""
    service.replace(f"{POOL}.items:_is_due", lambda item, now, settle_s: True)
    service.replace(f"{POOL}.writers:is_open_for_writing", lambda path: False)


@mutant("C1.9", subtle="only for files of one name")
def the_last_of_one_name_is_kept(service: Replacements) -> None:
    """Replaces a file of the same name where sources are filed away: it is the newer version of it."""
    service.replace(f"{POOL}.filing:Filing._is_taken", lambda filing, place: False)
    service.replace(f"{DISK}.move", lambda disk, source, target: os.replace(source, target))  # noqa: TID251


@mutant("C1.10", subtle="only the power loss shows it")
def settings_are_not_synced(service: Replacements) -> None:
    """Renames the new settings over the old ones without syncing them: a rename is atomic."""

    def write(original: Result, disk: Any, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        aside = Path(f"{path}.new")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        os.write(descriptor, data)
        os.close(descriptor)
        os.replace(aside, path)  # noqa: TID251 - the mistake itself
        disk.sync_folder(Path(path).parent)

    service.wrap(f"{DISK}.write_atomically", write)


@mutant("C1.10")
def settings_are_removed_first(service: Replacements) -> None:
    """Removes the old settings before it writes the new ones, for file systems where a rename does not replace."""

    def write(original: Result, disk: Any, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        Path(path).unlink(missing_ok=True)
        original(disk, path, data, mode=mode)

    service.wrap(f"{DISK}.write_atomically", write)


@mutant("C1.11", subtle="only when the network breaks in the middle of an upload")
def what_was_cut_off_counts_as_sent(service: Replacements) -> None:
    """Believes that a report arrived when its connection broke after it was on its way."""

    def settle(original: Result, outcomes: Any, record: Any, decision: Any) -> Any:
        return outcomes._mark_sent(record) if isinstance(decision, RetryLater) else original(outcomes, record, decision)

    service.wrap("pywats_reliability.pending_queue.outcomes:Outcomes.settle", settle)


@mutant("C2.10", worlds=(WorldKind.LIVE,))
def an_answer_that_nobody_awaits(service: Replacements) -> None:
    """Starts a second look at the server and forgets it, since the first one is enough."""

    def ask_twice(original: Result, rhythms: Any) -> Any:
        original(rhythms)
        return original(rhythms)

    service.wrap("pywats_reliability.client_service.rhythms:Rhythms.ask_for_a_sign_of_life", ask_twice)
