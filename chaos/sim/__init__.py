"""The simulated world: processes, network, disk and clock in virtual time, from one seed."""
