"""H4: bad values against every setting."""

from __future__ import annotations

from chaos.protocols import World, scenario


@scenario(proves=["H4.1", "H4.2"], faults=["config.bad_value"], limit_s=120)
async def bad_values_against_every_setting(world: World) -> None:
    """Fuzzed values, good and bad, against every setter: refused with the right kind of error and words, or valid."""
    found = await world.probe("settings", seed=world.seed.number)
    world.history.fault("config.bad_value", times=found["refused"])
    world.history.observe("config_fuzz", **found)
