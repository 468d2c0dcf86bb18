"""Mistakes by which a bad configuration file does more than be refused."""

from __future__ import annotations

from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.config import ClientConfig
from pywats_reliability.errors import ConfigError

FILE = "pywats_reliability.config_file"


@mutant("H4.6")
def falls_back_to_defaults(service: Replacements) -> None:
    """Falls back to the defaults when a file cannot be used: better than nothing."""

    def parsed(original: Any, *given: Any) -> Any:
        try:
            return original(*given)
        except ConfigError:
            return ClientConfig()

    service.wrap(f"{FILE}:_parsed", parsed)


@mutant("H4.6")
def writes_the_good_one_back(service: Replacements) -> None:
    """Puts the last good configuration back into a file that is broken."""

    def refuse(original: Any, self: Any, error: ConfigError) -> None:
        original(self, error)
        self.path.write_text("{}")

    service.wrap(f"{FILE}:ConfigWatcher._refuse", refuse)


@mutant("H4.6")
def refuses_in_the_log_only(service: Replacements) -> None:
    """Logs the refusal and goes on: what is in force has not changed."""

    def refuse(original: Any, self: Any, error: ConfigError) -> None:
        original(self, error)
        self.last_error = None

    service.wrap(f"{FILE}:ConfigWatcher._refuse", refuse)


@mutant("H4.6", subtle="only once the file is good again")
def remembers_the_refusal(service: Replacements) -> None:
    """Shows the last refusal until the restart, so that nobody misses it."""

    def judge(original: Any, self: Any, contents: bytes) -> None:
        before = self.last_error
        original(self, contents)
        self.last_error = self.last_error or before

    service.wrap(f"{FILE}:ConfigWatcher._judge", judge)
