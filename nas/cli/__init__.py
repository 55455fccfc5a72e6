"""The verbs of the command line: parse, call, print; a user's mistake is one line and exit status 2."""

from nas.cli.app import main

__all__ = ["main"]
