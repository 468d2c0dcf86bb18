"""Facts about log lines: readable, one line each, and without a secret (H3.5, C2.1, H2.4)."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pywats_reliability.errors import DiskError
from pywats_reliability.logs import LineFormatter, Secrets, about_report, configure_logging

NAME = "test_logs"
TOKEN = base64.b64encode(b"user:pass word/1").decode()


class UnspeakableError(Exception):
    """An exception whose text cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no text")


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(NAME, logging.ERROR, __file__, 1, message, args, info)


def line(message: str, *args: object, error: BaseException | None = None, secrets: tuple[str, ...] = ()) -> str:
    return LineFormatter(Secrets(secrets)).format(record(message, *args, error=error))


def as_json(message: str, *args: object, error: BaseException | None = None) -> dict[str, str]:
    shown = LineFormatter(Secrets(), as_json=True).format(record(message, *args, error=error))
    fields: dict[str, str] = json.loads(shown)
    return fields


def raised(error: Exception) -> Exception:
    """Return an error with a traceback, with ``error`` as its cause, and with the same text in a note."""

    def fail(error: Exception) -> None:
        raise error

    try:
        fail(error)
    except Exception as cause:  # noqa: BLE001 - it is handed on
        failed = ValueError(f"because of {cause}")
        failed.add_note(f"note: {cause}")
        failed.__cause__ = cause
        return failed
    raise AssertionError("it did not fail")


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "client.log"
    undo = configure_logging("INFO", file=path, secrets=Secrets(["hunter22"]), logger=NAME)
    yield path
    undo()


def test_a_line_has_time_level_logger_and_message() -> None:
    time, rest = line("report %s saved", "one").split(" ", 1)
    assert time.startswith("time=20")
    assert rest == f'level=ERROR logger={NAME} message="report one saved"'


def test_json_has_the_same_fields() -> None:
    assert list(as_json("saved")) == ["time", "level", "logger", "message"]


def test_a_line_names_its_task() -> None:
    async def main() -> str:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(logs(), name="pending_queue")
        return task.result()

    async def logs() -> str:
        return line("saved")

    assert " task=pending_queue " in asyncio.run(main())


def test_a_line_names_its_report_also_from_a_thread() -> None:
    async def main() -> str:
        with about_report("7f3a"):
            return await asyncio.to_thread(line, "saved")

    assert " report=7f3a " in asyncio.run(main())
    assert "report=" not in line("saved")


@pytest.mark.parametrize("breaking", ["\n", "\r", "\x1b[2J", "\x85", "\u2028", "\x00", "\ud800", "\t", '"\nlevel=INFO'])
def test_whatever_the_message_a_line_is_a_line(breaking: str) -> None:
    for text in (line("before%safter", breaking), json.dumps(as_json("before%safter", breaking))):
        assert len(text.splitlines()) == 1
        assert text.isprintable()
        text.encode()


def test_a_value_can_be_told_from_the_next_key() -> None:
    assert line('a="b" level=INFO').endswith(r' message="a=\"b\" level=INFO"')


def test_a_traceback_follows_indented_so_that_it_cannot_forge_a_line() -> None:
    first, *rest = line("failed", error=raised(OSError("planted\ntime=2026 level=INFO"))).split("\n")
    assert first.endswith("message=failed")
    assert all(each.startswith("    ") for each in rest)
    assert rest[-1].strip() == "note: planted" or "time=2026 level=INFO" in rest[-1]


def test_a_traceback_is_one_field_in_json() -> None:
    assert "OSError: planted" in as_json("failed", error=raised(OSError("planted")))["traceback"]


@pytest.mark.proves("C2.1")
def test_c2_1_an_exception_without_a_text_is_logged() -> None:
    assert "UnspeakableError" in line("failed", error=UnspeakableError())


@pytest.mark.proves("C2.1")
def test_c2_1_a_message_that_cannot_be_made_is_not_lost() -> None:
    assert "saving %s (its arguments could not be shown: ValueError)" in line("saving %s", UnspeakableError())
    assert "saving %d (its arguments could not be shown: TypeError)" in line("saving %d", "x")


PLACES: dict[str, Callable[[str], logging.LogRecord]] = {
    "message": lambda secret: record(f"token {secret} refused"),
    "argument": lambda secret: record("token %s refused", secret),
    "repr of an argument": lambda secret: record("token %r refused", {"password": secret}),
    "JSON": lambda secret: record("answer %s", json.dumps({"password": secret})),
    "URL": lambda secret: record("asked %s", f"https://host/?token={quote(secret, '', errors='replace')}"),
    "traceback": lambda secret: record("failed", error=raised(OSError(secret))),
    "exception group": lambda secret: record("failed", error=ExceptionGroup("g", [OSError(secret)])),
}


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize("json_mode", [False, True], ids=["key=value", "json"])
@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=40, deadline=None)
@given(secret=st.text(st.characters(exclude_characters="*"), min_size=4, max_size=40))
def test_h3_5_a_secret_is_shown_nowhere_and_in_no_form(place: str, json_mode: bool, secret: str) -> None:
    shown = LineFormatter(Secrets([secret]), as_json=json_mode).format(PLACES[place](secret))
    forms = (secret, quote(secret, safe="", errors="replace"), repr(secret)[1:-1], json.dumps(secret)[1:-1])
    assert not [form for form in forms if form in shown]


@pytest.mark.proves("H3.5")
def test_h3_5_a_secret_is_masked_before_its_control_characters_are_escaped() -> None:
    """Escaped, it has a form that nobody can foresee, for it depends on where it stands."""
    secret = "it's \"x\x85yz\""
    assert "yz" not in line("token %s", secret, error=raised(OSError(secret)), secrets=(secret,))


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize("json_mode", [False, True], ids=["key=value", "json"])
@pytest.mark.parametrize(("secret", "message"), [("logger", "saved"), (r"\nbcd", "a\nbcd"), (r"\u2028x", "a\u2028x")])
def test_h3_5_a_secret_that_only_the_making_of_the_line_forms_is_masked_too(
    secret: str, message: str, json_mode: bool
) -> None:
    assert secret not in LineFormatter(Secrets([secret]), as_json=json_mode).format(record(message))


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize("shown", [TOKEN, "user:pass word/1", "pass word/1", "pass%20word%2F1", "pass+word%2F1"])
def test_h3_5_what_a_basic_token_carries_is_masked_too(shown: str) -> None:
    assert Secrets([TOKEN]).mask(shown) == "***"


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Basic dXNlcjpw", "Authorization: Basic ***"),
        ("{'authorization': 'Bearer abc.def'}", "{'authorization': 'Bearer ***'}"),
        ("https://user:pw@host/api", "https://***@host/api"),
        ("basic information", "basic information"),
    ],
)
def test_h3_5_what_looks_like_credentials_is_masked_without_being_registered(text: str, masked: str) -> None:
    assert Secrets().mask(text) == masked


@pytest.mark.proves("H3.5")
def test_h3_5_a_short_secret_is_masked_as_a_word_only() -> None:
    assert Secrets(["ab"]).mask("password ab in cabin") == "password *** in cabin"


def test_an_empty_secret_masks_nothing() -> None:
    assert Secrets([""]).mask("text") == "text"


@pytest.mark.proves("H3.5")
def test_h3_5_a_secret_can_be_registered_later() -> None:
    secrets = Secrets(["hunter22"])
    secrets.register("hunter23")
    assert secrets.mask("hunter22 hunter23") == "*** ***"


def test_the_file_gets_the_lines_from_the_level_on(log_file: Path) -> None:
    logging.getLogger(NAME).info("password hunter22")
    logging.getLogger(NAME).debug("not shown")
    (shown,) = log_file.read_text().splitlines()
    assert shown.endswith('message="password ***"')


def test_h2_4_undoing_leaves_no_handler_and_no_level(tmp_path: Path) -> None:
    logger = logging.getLogger(NAME)
    before = (logger.level, list(logger.handlers))
    undo = configure_logging("DEBUG", file=tmp_path / "client.log", secrets=Secrets(), logger=NAME)
    assert (logger.level, len(logger.handlers)) == (logging.DEBUG, len(before[1]) + 2)
    undo()
    undo()
    assert (logger.level, logger.handlers) == before


def test_a_file_that_cannot_be_opened_is_an_error_of_ours_and_configures_nothing(tmp_path: Path) -> None:
    handlers = list(logging.getLogger(NAME).handlers)
    with pytest.raises(DiskError, match="could not open the log"):
        configure_logging("INFO", file=tmp_path / "missing" / "client.log", secrets=Secrets(), logger=NAME)
    assert logging.getLogger(NAME).handlers == handlers


@pytest.mark.proves("H3.5")
def test_h3_5_a_line_that_cannot_be_written_is_told_without_its_text(
    log_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler,) = [each for each in logging.getLogger(NAME).handlers if isinstance(each, logging.FileHandler)]
    assert Path(handler.baseFilename) == log_file

    def full(_: logging.LogRecord) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handler, "format", full)
    logging.getLogger(NAME).info("password hunter22")
    told = capsys.readouterr().err
    assert "a log line of test_logs could not be written: OSError: [Errno 28] No space left on device" in told
    assert "hunter22" not in told
