"""From a ``module_path`` to a converter: what it names (pure), and loading it (which runs somebody's code).

* ``wsjf`` and ``csv`` (or their classes' full names) are the built-in ones: they run in the service's own process.
* ``folder/file.py``, ``package.module``, both with ``:ClassName`` if the module has several converters, are somebody
  else's: they are loaded in an isolated worker only. A relative file is looked for in the converters' folder.
* What cannot be loaded is a ``ConverterLoadError`` that says what was expected and found (C2.9).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import cast

from pywats_reliability.converters.csv_log import CsvConverter
from pywats_reliability.converters.interface import Converter
from pywats_reliability.converters.wsjf import WsjfConverter
from pywats_reliability.errors import ConverterLoadError

Kind = Callable[[], Converter]
BUILT_IN: Mapping[str, Kind] = MappingProxyType({
    "wsjf": WsjfConverter,
    "csv": CsvConverter,
    "pywats_reliability.converters.WsjfConverter": WsjfConverter,
    "pywats_reliability.converters.CsvConverter": CsvConverter,
})
"""The converters that come with the service, by every name that a configuration may use."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Where somebody's converter is: a file or a module, and the class in it ("": the only one there)."""

    converter: str
    file: str = ""
    module: str = ""
    class_name: str = ""

    def __str__(self) -> str:
        return self.file or self.module


def refer(converter: str, module_path: str, folder: Path) -> Reference:
    """Return what ``module_path`` names; ``converter`` is its configured name, for messages. Does no I/O."""
    place, colon, class_name = module_path.rpartition(":")
    if not colon or "/" in class_name or "\\" in class_name:  # A colon may also belong to a drive.
        place, class_name = module_path, ""
    if place.endswith(".py") or "/" in place or "\\" in place:
        return Reference(converter, file=str(folder / place), class_name=class_name)
    return Reference(converter, module=place, class_name=class_name)


def load(reference: Reference) -> Converter:
    """Import what ``reference`` names and return an instance of its converter.

    Raises ``ConverterLoadError``; whatever the module or the constructor raises is its cause.
    """
    module = _module(reference)
    kind = _named(module, reference) if reference.class_name else _only(module, reference)
    try:
        return kind()
    except Exception as error:
        found = f"{_where(error)} when it was called"
        raise ConverterLoadError(reference.converter, "the class to make a converter", found) from error


def _module(reference: Reference) -> ModuleType:
    try:
        return _from_file(reference) if reference.file else importlib.import_module(reference.module)
    except ConverterLoadError:
        raise
    except (Exception, SystemExit) as error:
        found = f"no module {error.name}" if isinstance(error, ModuleNotFoundError) else _where(error)
        raise ConverterLoadError(reference.converter, f"a Python module at {reference}", found) from error


def _from_file(reference: Reference) -> ModuleType:
    path = Path(reference.file)
    if not path.is_file():
        raise ConverterLoadError(reference.converter, f"a Python file at {path}", "none")
    name = f"converter_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConverterLoadError(reference.converter, f"a Python file at {path}", "a file of another kind")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses and pickles of the module look it up there.
    sys.path.insert(0, str(path.parent))  # So that it finds the modules beside it.
    spec.loader.exec_module(module)
    return module


def _where(error: BaseException) -> str:
    """Return the kind of an error and the line it came from, without its words."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        line, trace = trace.tb_lineno, trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or line
    return f"{type(error).__name__} at line {line}"


def _named(module: ModuleType, reference: Reference) -> Kind:
    kind = getattr(module, reference.class_name, None)
    if not inspect.isclass(kind) or not callable(getattr(kind, "convert", None)):
        found = "none of that name" if kind is None else "something without it"
        raise ConverterLoadError(reference.converter, f"a class {reference.class_name} with convert()", found)
    return cast("Kind", kind)


def _only(module: ModuleType, reference: Reference) -> Kind:
    kinds = [
        kind for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and callable(getattr(kind, "convert", None))
    ]  # fmt: skip
    if len(kinds) != 1:
        found = ", ".join(kind.__name__ for kind in kinds) or "none"
        expected = f"one class with convert() in {reference} (or its name after a colon)"
        raise ConverterLoadError(reference.converter, expected, found)
    return cast("Kind", kinds[0])
