"""The service as a process: the guard over its exit, and its file descriptors."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from pywats_reliability.cli import process
from pywats_reliability.cli.process import ExitGuard, raise_descriptor_limit
from pywats_reliability.config import ClientConfig
from pywats_reliability.shutdown import EXIT_FORCED


def test_a_process_that_is_still_there_after_the_limit_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "GUARD_MARGIN_S", 0.0)
    left, codes = threading.Event(), list[int]()

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    ExitGuard(lambda: 0.01, leave).arm()
    assert left.wait(10)
    assert codes == [EXIT_FORCED]
    assert "still there" in capsys.readouterr().err


def test_a_process_that_ends_by_itself_is_left_alone() -> None:
    guard = ExitGuard(lambda: 60.0, lambda code: pytest.fail(f"ended with {code}"))
    guard.arm()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "exit-guard")
    guard.disarm()
    thread.join(10)
    assert not thread.is_alive()


def limits(soft: int, hard: int) -> tuple[SimpleNamespace, list[tuple[int, int]]]:
    """Return a stand-in for the module ``resource``, and what is set through it."""
    settings: list[tuple[int, int]] = []
    module = SimpleNamespace(
        RLIMIT_NOFILE=7,
        RLIM_INFINITY=-1,
        getrlimit=lambda _: (soft, hard),
        setrlimit=lambda _, new: settings.append(new),
    )
    return module, settings


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [
        (1024, 4096, [(1305, 4096)]),
        (1024, -1, [(1305, -1)]),
        (4096, 4096, []),
        (-1, -1, []),
        (256, 1024, [(1024, 1024)]),
    ],
)
def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: list[tuple[int, int]]
) -> None:
    module, settings = limits(soft, hard)
    monkeypatch.setattr(process, "resource", module)
    raise_descriptor_limit(ClientConfig())
    assert settings == wanted


def test_a_hard_limit_that_is_too_low_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "resource", limits(256, 1024)[0])
    raise_descriptor_limit(ClientConfig())
    assert "expected 1305 file descriptors, found a hard limit of 1024" in caplog.text
