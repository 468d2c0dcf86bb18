"""Mistakes by which a setting is taken that should not be, or what is saved is not what is loaded again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.config import ClientConfig
from pywats_reliability.config.section import replaced
from pywats_reliability.config.settings import SETTINGS, Settings
from pywats_reliability.errors import ConfigError, ConfigFileError, SettingValueError

CONFIG = "pywats_reliability.config.client_config:ClientConfig"
SETTING = "pywats_reliability.config.setting"
CHECK = f"{SETTING}:Setting.check"
FILE = "pywats_reliability.config_file"


@mutant("H4.1", subtle="only for true and false")
def true_is_one(service: Replacements) -> None:
    """Takes a truth value for a number, as Python does."""

    def check(original: Any, setting: Any, value: object) -> Any:
        is_number = setting.type_text.startswith(("int", "float"))
        return original(setting, int(value) if isinstance(value, bool) and is_number else value)

    service.wrap(CHECK, check)


@mutant("H4.1", subtle="only for texts that look like numbers")
def reads_numbers_in_texts(service: Replacements) -> None:
    """Reads a number that comes as a text: those who wrote it meant the number."""

    def check(original: Any, setting: Any, value: object) -> Any:
        is_number = setting.type_text.startswith("int") and isinstance(value, str) and value.isdigit()
        return original(setting, int(str(value)[:18]) if is_number else value)

    service.wrap(CHECK, check)


@mutant("H4.1")
def everything_is_a_wrong_value(service: Replacements) -> None:
    """Raises one kind of error for all that is wrong: nobody tells them apart."""
    service.replace(f"{SETTING}:_is_of_wrong_type", lambda _kind, _given: False)


@mutant("H4.1", subtle="only for secrets")
def quotes_what_was_given(service: Replacements) -> None:
    """Quotes what was given, whatever it is: how else should one see what is wrong?"""
    service.replace(f"{SETTING}:shown", lambda value, *, is_secret=False: str(value)[:60] if is_secret else repr(value))


def _when_refused(service: Replacements, instead: Any) -> None:
    """Do something to the configuration when a change is refused, and refuse it all the same."""

    def update(original: Any, config: ClientConfig, *given: Any, **more: Any) -> None:
        try:
            original(config, *given, **more)
        except ConfigError:
            instead(config, dict(*given, **more))
            raise

    service.wrap(f"{CONFIG}.update", update)


@mutant("H4.2")
def a_refusal_resets_the_setting(service: Replacements) -> None:
    """Puts the default in the place of a setting that somebody tried to break."""

    def reset(config: ClientConfig, given: Mapping[str, Any]) -> None:
        known = {key: SETTINGS[key].default for key in given if key in SETTINGS}
        config._install(replaced(config._state[0], known), {})

    _when_refused(service, reset)


@mutant("H4.2", subtle="only for numbers out of range")
def a_number_too_large_becomes_the_largest(service: Replacements) -> None:
    """Goes as far as it may when somebody asks for more, and says that it was too much."""

    def clip(config: ClientConfig, given: Mapping[str, Any]) -> None:
        limits = {key: SETTINGS[key].maximum for key, value in given.items()
                  if key in SETTINGS and type(value) in (int, float) and SETTINGS[key].maximum is not None
                  and value > SETTINGS[key].maximum and SETTINGS[key].type_text == "int"}  # fmt: skip
        try:
            config._install(replaced(config._state[0], limits), {})
        except SettingValueError:
            return  # It would break a rule across settings.

    _when_refused(service, clip)


@mutant("H4.2", subtle="only for objects inside the configuration")
def keeps_the_good_parts_of_a_bad_object(service: Replacements) -> None:
    """Forgets what was there when an object is refused: half of the old and half of the new is worse than nothing."""

    def empty(config: ClientConfig, given: Mapping[str, Any]) -> None:
        if "station_presets" in given:
            presets = [] if config.station_presets else [{"key": "first", "name": "First"}]
            config._install(replaced(config._state[0], {"station_presets": presets}), {})

    _when_refused(service, empty)


@mutant("H4.3", subtle="only for the file")
def the_file_is_repaired(service: Replacements) -> None:
    """Repairs what is wrong in the file while it is read: the service must come up."""

    def parsed(original: Any, path: Any, contents: bytes) -> ClientConfig:
        try:
            return original(path, contents)  # type: ignore[no-any-return]
        except ConfigFileError as error:
            if isinstance(error.__cause__, ConfigError):
                return ClientConfig()
            raise

    service.wrap(f"{FILE}:_parsed", parsed)


@mutant("H4.3", subtle="only for attributes")
def attributes_are_converted(service: Replacements) -> None:
    """Converts what is assigned to an attribute to the type that is there, for the convenience of scripts."""

    def assign(original: Any, config: ClientConfig, name: str, value: Any) -> None:
        is_whole = name in SETTINGS and SETTINGS[name].type_text == "int"
        original(config, name, int(value) if is_whole and isinstance(value, float) and value == 1.5 else value)

    service.wrap(f"{CONFIG}.__setattr__", assign)


@mutant("H4.3", subtle="only for the constructor")
def the_constructor_trusts_its_caller(service: Replacements) -> None:
    """Leaves out what is out of range in the constructor, which only our own code calls."""

    def made(original: Any, config: ClientConfig, /, **given: Any) -> None:
        try:
            original(config, **given)
        except SettingValueError:
            original(config)

    service.wrap(f"{CONFIG}.__init__", made)


@mutant("H4.4", subtle="only when several settings change at once")
def judges_each_change_by_itself(service: Replacements) -> None:
    """Makes one change after the other, and judges each when it is made."""

    def update(original: Any, config: ClientConfig, *given: Any, **more: Any) -> None:
        before = config._state
        try:
            for key, value in dict(*given, **more).items():
                original(config, {key: value})
        except ConfigError:
            object.__setattr__(config, "_state", before)
            raise

    service.wrap(f"{CONFIG}.update", update)


@mutant("H4.4")
def has_rules_for_single_settings_only(service: Replacements) -> None:
    """Checks each setting by itself: who sets both windows knows what he does."""
    service.replace("pywats_reliability.config.settings:Settings.rules", ())


@mutant("H4.4", subtle="only for the proxy")
def a_proxy_may_come_without_its_port(service: Replacements) -> None:
    """Lets a proxy be turned on before its host and port are known: they will be given next."""
    kept = tuple(rule for rule in Settings.rules if "proxy_mode" not in rule.keys)
    service.replace("pywats_reliability.config.settings:Settings.rules", kept)


@mutant("H4.5", subtle="only for the file of a newer version")
def drops_the_keys_of_tomorrow(service: Replacements) -> None:
    """Saves what it knows, and nothing else, so that the file stays tidy."""

    def known(original: Any, section: Any) -> dict[str, Any]:
        return {key: value for key, value in original(section).items() if key not in section.unknown_keys}

    service.wrap("pywats_reliability.config.section:Section.to_dict", known)


@mutant("H4.5", subtle="only for secrets")
def saves_no_secrets(service: Replacements) -> None:
    """Leaves secrets out of the file, where anybody may read them."""

    def encoded(original: Any, values: Mapping[str, Any]) -> Any:
        secret = [name for name, setting in SETTINGS.items() if setting.secret]
        return original({**values, **{name: "" for name in secret if name in values}})

    service.wrap("pywats_reliability.config.document:encoded", encoded)


@mutant("H4.5", subtle="only for numbers that are not whole")
def saves_whole_numbers(service: Replacements) -> None:
    """Rounds what it saves: nobody needs fractions of seconds."""

    def encoded(original: Any, values: Mapping[str, Any]) -> Any:
        return original({key: round(value) if type(value) is float and value > 1 else value
                         for key, value in values.items()})  # fmt: skip

    service.wrap("pywats_reliability.config.document:encoded", encoded)


@mutant("H4.7", subtle="only for unknown keys")
def get_raises(service: Replacements) -> None:
    """Raises for an unknown key in ``get``, too: a default would hide the mistake."""
    service.replace(f"{CONFIG}.get", lambda config, key, default=None: config[key])


@mutant("H4.7")
def shows_what_was_set_only(service: Replacements) -> None:
    """Goes through what differs from the defaults, which is what anybody wants to see."""

    def differing(config: ClientConfig) -> Iterator[str]:
        return iter([key for key in SETTINGS if config.settings[key] != SETTINGS[key].default])

    service.replace(f"{CONFIG}.__iter__", differing)


@mutant("H4.7", subtle="only for unknown keys")
def has_every_key(service: Replacements) -> None:
    """Answers every ``in`` with yes, as asking for a key says soon enough whether it is there."""
    service.replace(f"{CONFIG}.__contains__", lambda config, key: True)
