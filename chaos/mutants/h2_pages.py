"""Mutants of H2 in the configurator: each makes a page, or the window, hold on to something."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.errors import CleanupError

GUI = "pywats_reliability.gui"


@mutant("H2.1")
def timer_not_stopped(service: Replacements) -> None:
    """Deletes a page's timers with the page and does not stop them: they are its children, after all."""
    service.replace(f"{GUI}.holdings:stop_timer", lambda _: None)


@mutant("H2.1")
def signal_not_disconnected(service: Replacements) -> None:
    """Leaves disconnecting to Qt, which does it too, though only when the page is deleted."""
    service.replace(f"{GUI}.holdings:disconnect", lambda _: None)


@mutant("H2.1", subtle="only of an action that waits for something else than the service")
def task_not_cancelled(service: Replacements) -> None:
    """Closes the connection and lets the page's tasks run on: without it they fail soon enough."""

    async def waits_for_nothing(_: Any) -> None:
        return None

    service.replace(f"{GUI}.holdings:Holdings._end_tasks", waits_for_nothing)


@mutant("H2.1")
def log_handler_left_on_the_root_logger(service: Replacements) -> None:
    """Closes the handler of the log page and forgets that the root logger still holds it."""
    service.replace(f"{GUI}.holdings:remove_log_handler", lambda _, handler: handler.close())


@mutant("H2.2")
def lambda_keeps_the_page_alive(service: Replacements) -> None:
    """Connects a lambda that uses the page to a signal that outlives it, past the page's holdings."""

    def connects_too(original: Callable[[Any], None], page: Any) -> None:
        original(page)
        page.place.queue.operation_sent.connect(lambda _: page.reload())

    service.wrap(f"{GUI}.pages.dashboard:DashboardPage._connect", connects_too)


@mutant("H2.2", subtle="what is kept is a few bytes, and shows in no memory")
def timer_beside_the_holdings(service: Replacements) -> None:
    """Makes a timer without a parent, because it is wanted in one place only, and keeps it in a list."""
    kept: list[Any] = []

    def builds_too(original: Callable[[Any, Any], None], page: Any, content: Any) -> None:
        original(page, content)
        timer = import_module("PySide6.QtCore").QTimer()  # Only where a mutant is planted is there need of Qt.
        timer.start(60_000)
        kept.append(timer)

    service.wrap(f"{GUI}.form_page:FormPage.build", builds_too)


@mutant("H2.3")
def cleanup_stops_at_the_first_error(service: Replacements) -> None:
    """Runs the clean-up's steps in a plain loop: what comes after a failure would not be safe anyway."""

    async def plain_loop(scope: Any, step_timeout_s: float, _: float | None) -> CleanupError | None:
        while scope._steps:
            name, closer = scope._steps.pop()
            if (error := await scope._run(name, closer, step_timeout_s)) is not None:
                return CleanupError(f"closing {scope.name}", [(name, error)])
        return None

    service.replace("pywats_reliability.scope:ResourceScope._close", plain_loop)


@mutant("H2.5")
def window_forgets_its_pages(service: Replacements) -> None:
    """Leaves the clean-up of the pages to their close events, which pages inside a stack never get."""

    def without_pages(original: Callable[[Any, str, Any], None], scope: Any, name: str, closer: Any) -> None:
        if not name.startswith("page "):
            original(scope, name, closer)

    service.wrap("pywats_reliability.scope:ResourceScope.push", without_pages)


@mutant("H2.2")
def pages_are_kept_for_later(service: Replacements) -> None:
    """Keeps every page that was opened in a list, so that it need not be built again."""
    kept: list[Any] = []

    def connects_too(original: Callable[[Any], None], page: Any) -> None:
        original(page)
        kept.append(page)

    service.wrap(f"{GUI}.pages.dashboard:DashboardPage._connect", connects_too)


@mutant("H2.3", subtle="only when several steps fail")
def tells_the_first_failure_only(service: Replacements) -> None:
    """Reports the first step that failed: the others are consequences."""

    async def first_only(original: Callable[..., Any], *given: Any) -> CleanupError | None:
        found = await original(*given)
        return None if found is None else CleanupError(found.owner, found.failures[:1])

    service.wrap("pywats_reliability.scope:ResourceScope._close", first_only)


@mutant("H2.3")
def logs_what_failed_and_says_nothing(service: Replacements) -> None:
    """Leaves the failures of a clean-up to the log: the page is gone, and nobody can do anything."""

    async def says_nothing(original: Callable[..., Any], *given: Any) -> None:
        await original(*given)

    service.wrap("pywats_reliability.scope:ResourceScope._close", says_nothing)


@mutant("H2.5")
def the_monitor_outlives_its_window(service: Replacements) -> None:
    """Leaves the window's tasks to the end of the event loop, which cancels them anyway."""

    async def waits_for_nothing(_: Any) -> None:
        return None

    service.replace(f"{GUI}.window:MainWindow._end_tasks", waits_for_nothing)


@mutant("H2.5")
def the_window_only_hides(service: Replacements) -> None:
    """Accepts the close event and hides the window: whatever it started ends with the program."""

    def only_hides(window: Any, event: Any) -> None:
        event.accept()
        window.hide()

    service.replace(f"{GUI}.window:MainWindow.closeEvent", only_hides)


@mutant("H2.5", subtle="what is left is gone when the process is")
def the_window_says_that_it_has_ended(service: Replacements) -> None:
    """Says that it has ended as soon as it is hidden: its clean-up takes a while, and nobody should wait for that."""

    async def nothing(_: Any) -> None:
        return None

    service.replace(f"{GUI}.window:MainWindow.cleanup", nothing)
