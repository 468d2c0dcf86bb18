"""The configurator under test: real Qt, offscreen. Importing this package loads no Qt; its modules do."""
