"""Every key of a TOML file is found at its line, however it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.errors import ExperimentError, UsageError
from chaos.experiment.document import Document, read_document

TRICKY = '''\
# [not.a.table]
top = 1
"quoted.key" = """
[nor.this]
key = 'inside'
"""
[one."two.three".'four']
a.b = 5
a.c = { d = [1, 2], "e" = { f = "}" } } # ] }
when = 1979-05-27 07:32:00

[[list]]
x = [
  "first", # a comment with a ]
  """second
""",
  { y = 1 },
]
[list.sub]
z = 0.5
[[list]]
x = '[[list]]'
[[list.inner]]
q = true
[[list.inner]]
q = false
'''


def document(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "file.toml"
    path.write_text(text)
    return read_document(path)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 2),
        (("quoted.key",), 3),
        (("one", "two.three", "four"), 7),
        (("one", "two.three", "four", "a", "b"), 8),
        (("one", "two.three", "four", "a", "c", "d", 1), 9),
        (("one", "two.three", "four", "a", "c", "e", "f"), 9),
        (("one", "two.three", "four", "when"), 10),
        (("list", 0), 12),
        (("list", 0, "x", 0), 14),
        (("list", 0, "x", 1), 15),
        (("list", 0, "x", 2, "y"), 17),
        (("list", 0, "sub", "z"), 20),
        (("list", 1), 21),
        (("list", 1, "x"), 22),
        (("list", 1, "inner", 0, "q"), 24),
        (("list", 1, "inner", 1, "q"), 26),
        (("list", 1, "inner", 1, "not there"), 25),
        (("nothing",), 1),
    ],
)
def test_a_key_is_found(tmp_path: Path, place: tuple[str | int, ...], line: int) -> None:
    assert document(tmp_path, TRICKY).line(place) == line


def every_place(data: Any, place: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return {place}.union(*(every_place(value, (*place, key)) for key, value in items))


def test_every_key_has_a_line_and_there_are_no_others(tmp_path: Path) -> None:
    found = document(tmp_path, TRICKY)
    assert set(found.lines) == every_place(found.data) - {()}


def test_lines_are_counted_the_same_with_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(TRICKY.replace("\n", "\r\n").encode())
    assert read_document(path).line(("list", 1, "inner", 1, "q")) == 26


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"a = 1\nb = \n", 2), (b"a = 1\na = 2\n", 2), (b"a = [1,\n2", 2), (b"a = 1\nb = '\xff'\n", 2)],
)
def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ExperimentError) as caught:
        read_document(path)
    assert str(caught.value).startswith(f"{path}:{line}: expected ")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_document(tmp_path / "none.toml")
