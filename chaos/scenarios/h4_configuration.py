"""H4: bad values against every setting."""

from __future__ import annotations

from chaos.protocols import World, scenario


@scenario(proves=["H4.1", "H4.2"], faults=["config.bad_value"], limit_s=120)
async def bad_values_against_every_setting(world: World) -> None:
    """Fuzzed values, good and bad, against every setter: refused with the right kind of error and words, or valid."""
    found = await world.probe("settings", seed=world.seed.number)
    world.history.fault("config.bad_value", times=found["refused"])
    world.history.observe("config_fuzz", **found)


@scenario(proves=["H4.3", "H4.4", "H4.5", "H4.7"], faults=["config.value"], limit_s=150)
async def one_configuration_by_every_way(world: World) -> None:
    """The same values by every way in and in every order, saved and loaded again, and read as a mapping."""
    found = await world.probe("configurations", seed=world.seed.number)
    world.history.fault("config.value", times=found["ways"])
    world.history.observe("configurations", **found)
