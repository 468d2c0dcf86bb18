"""What a disk holds and what a crash may leave of it: pure, the same for a simulated disk and a recorded process."""
