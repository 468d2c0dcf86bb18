"""The configurator: a window of eleven pages over IPC. Importing this package loads no Qt; its modules do."""
