"""The command line: a module per group of commands, no logic of its own."""
