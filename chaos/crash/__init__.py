"""Crash states of a disk: recorded from real programs, explored with a recovering subject, seen in real power cuts."""
