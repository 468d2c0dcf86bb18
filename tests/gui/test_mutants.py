"""Each mistake planted into the configurator is found, and called by its name."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.mutants import find_mutant, planted
from tests.gui.playing import told_by

ONE = {"pages": ["Dashboard"], "instants": ["after loading"]}
FINDERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "timer_not_stopped": ("pages_closed", ONE, "timer timer looking anew, made at dashboard.py:"),
    "signal_not_disconnected": ("pages_closed", ONE, "connection WatchedLink.came_up, made at page.py:"),
    "task_not_cancelled": (
        "pages_closed", {"pages": ["About"], "instants": ["in action"]}, "task page About: Diagnosing",
    ),
    "log_handler_left_on_the_root_logger": (
        "pages_closed", {"pages": ["Log"], "instants": ["at once"]},
        "handler BufferHandler on logger root, made at log",
    ),
    "lambda_keeps_the_page_alive": ("cycles", {"pages": ["Dashboard"], "cycles": 3}, "object DashboardPage"),
    "timer_beside_the_holdings": (
        "cycles", {"pages": ["Location"], "cycles": 3}, "timer without a name, made at h2_pages.py:",
    ),
    "cleanup_stops_at_the_first_error": ("steps_fail", {"pages": ["Location"]}, "does not run"),
    "window_forgets_its_pages": ("window_closed", {"activities": ["idle"]}, "made at "),
    "the_window_only_hides": ("window_closed", {"activities": ["idle"]}, "expected the end of a closed window"),
    "error_turned_into_a_default": (
        "actions", {"pages": ["Converters"], "only": "start"}, "the service's own words are not shown",
    ),
    "missing_count_is_a_success": ("actions", {"pages": ["Dashboard"], "only": "retry"}, "no error is seen; success"),
    "saved_without_proof": ("actions", {"pages": ["Location"], "only": "save"}, "no error is seen; success"),
    "error_only_logged": ("actions", {"pages": ["Location"], "only": "save"}, "no error is seen"),
}  # fmt: skip
"""Of each mutant: the story that finds it, what is enough of that story, and words of the finding."""


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Give the root logger back its handlers."""
    before = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = before


@pytest.mark.usefixtures("root_logger")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # What leaks, complains.
@pytest.mark.parametrize("name", FINDERS)
def test_a_mutant_is_found_by_name(name: str, tmp_path: Path) -> None:
    story, arguments, words = FINDERS[name]
    with planted(find_mutant(name)):
        told = told_by(tmp_path, story, **arguments)
    gc.collect()
    assert [wrong for wrong in told if words in wrong]
