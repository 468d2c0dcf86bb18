"""Pure rules, from an event to its fate: the same ones misbehave in the simulated and in the live world."""
