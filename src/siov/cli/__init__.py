"""The siov command, one module a subcommand."""
