"""A fault-injection toolkit: the same scenario and the same checker in a simulated, an enumerated and a live world."""
