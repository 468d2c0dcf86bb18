"""Mutants of H3 in the configurator: mistakes by which a failure is shown as something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.errors import ReliabilityError

GUI = "pywats_reliability.gui"


@mutant("H3.2")
def error_turned_into_a_default(service: Replacements) -> None:
    """Catches the error near the connection and gives back an empty object: nothing to show is no problem."""

    async def never_fails(original: Callable[..., Any], *given: Any, **limits: Any) -> Any:
        try:
            return await original(*given, **limits)
        except ReliabilityError:
            return {}

    service.wrap(f"{GUI}.service_link:ServiceClient.request", never_fails)


@mutant("H3.2", subtle="only when the answer lacks the count")
def missing_count_is_a_success(service: Replacements) -> None:
    """Reads the answer of an action with a default for what is missing, so that an older service will do as well."""

    def with_default(_: str, answer: Any, name: str, *, at_least: int = 0) -> int:
        return int(dict(answer or {}).get(name, at_least)) if not isinstance(answer, str) else at_least

    service.replace(f"{GUI}.service_answers:number_in", with_default)


@mutant("H3.2", subtle="only when the service says yes and does nothing")
def saved_without_proof(service: Replacements) -> None:
    """Takes any answer to a save for its success, without looking whether the new values are in force."""
    service.replace(f"{GUI}.form_page:FormPage._require_in_force", lambda *_: None)

    def shows_what_it_loads(original: Callable[..., None], *given: Any, command: str, keep_edit: bool) -> None:
        if command != "set_config":
            original(*given, command=command, keep_edit=keep_edit)

    service.wrap(f"{GUI}.form_page:FormPage.show_settings", shows_what_it_loads)


@mutant("H3.2")
def error_only_logged(service: Replacements) -> None:
    """Logs the failure of an action and shows nothing: the log is where errors belong."""
    service.replace(f"{GUI}.page:Page.say_trouble", lambda *_, **__: None)
