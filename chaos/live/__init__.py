"""The live world: real processes, real sockets, a real disk."""
