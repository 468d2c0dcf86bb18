"""Faults: one module each. A fault undoes itself, and writes into the history when it really fired."""
