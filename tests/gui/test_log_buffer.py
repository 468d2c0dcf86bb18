"""The last thousand lines of a log, read from the end of a file that others write."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pywats_reliability.gui.log_buffer import BYTES_MAX, LINES_MAX, LogBuffer, LogTail


def test_the_oldest_line_makes_room() -> None:
    buffer = LogBuffer()
    for number in range(LINES_MAX + 5):
        buffer.add(f"line {number}", logging.INFO)
    assert buffer.texts(logging.INFO)[0] == "line 5"
    assert len(buffer) == LINES_MAX


@pytest.mark.parametrize(
    "text", ["time=1 level=ERROR logger=x message=bad", '{"level": "ERROR", "message": "bad"}', "12:00 ERROR x: bad"]
)
def test_a_level_is_read_from_the_line(text: str) -> None:
    buffer = LogBuffer()
    buffer.add("level=INFO message=good")
    buffer.add(text)
    assert buffer.texts(logging.ERROR) == [text]


def test_a_traceback_has_the_level_of_its_first_line() -> None:
    buffer = LogBuffer()
    for line in ("level=ERROR message=bad", "  Traceback", "level=INFO message=good"):
        buffer.add(line)
    assert buffer.texts(logging.ERROR) == ["level=ERROR message=bad", "  Traceback"]


def test_only_whole_lines_that_are_new_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    tail = LogTail(path)
    assert tail.read() == ["one"]
    with path.open("ab") as file:
        file.write(b"o\r\nthree\n")
    assert tail.read() == ["two", "three"]
    assert tail.read() == []


def test_a_file_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old and longer\n")
    tail = LogTail(path)
    tail.read()
    path.unlink()
    path.write_text("new\n")
    assert tail.read() == ["new"]


def test_of_a_large_file_only_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 99 + b"\n" + b"y" * BYTES_MAX + b"\nlast\n")
    assert LogTail(path).read()[-1] == "last"
