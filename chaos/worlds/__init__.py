"""What every world has in common: calls to the subject as operations, waiting with a limit, looks at folders."""
