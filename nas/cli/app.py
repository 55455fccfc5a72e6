"""The command `nas`: its verbs, and how errors reach the user."""

from __future__ import annotations

import errno
import sys

import typer

from nas import __version__
from nas.cli import bench, build, devices, pick, predict, profile, report, search, spaces
from nas.cli.output import printable
from nas.errors import UserError

# Typer carries a copy of Click that it does not export; these are its UsageError and ClickException
_UsageError: type[Exception]
_ClickError: type[Exception]
_UsageError, _ClickError = typer.BadParameter.__mro__[1:3]

app = typer.Typer(
    name="nas",
    help="Search networks for a named device: a search space and a device profile in, a Pareto front of accuracy "
    "against latency and energy out.\n\nStart with: nas search --device raspberry-pi-4",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"nas {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    show: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


app.command("search")(search.search)
app.command("report")(report.report)
app.command("pick")(pick.pick)
app.command("build")(build.build)
app.command("predict")(predict.predict)
app.command("spaces")(spaces.spaces)
app.add_typer(profile.app, name="profile")
app.add_typer(bench.app, name="bench")
app.add_typer(devices.app, name="devices")


def main() -> None:
    """Runs the command line. Exit status: 0 done, 1 done in part, 2 a user's mistake, 130 interrupted."""
    try:
        status = app(args=sys.argv[1:] or ["--help"], standalone_mode=False)
    except UserError as error:
        status = _complain(str(error))
    except typer.Exit as stop:
        status = stop.exit_code
    except _ClickError as error:
        context = getattr(error, "ctx", None) if isinstance(error, _UsageError) else None
        where = f" (see {context.command_path} --help)" if context else ""
        status = _complain(str(getattr(error, "format_message", error.__str__)()) + where)
    except (KeyboardInterrupt, typer.Abort) as stop:
        print(f"nas: {stop}" if str(stop) else "nas: interrupted", file=sys.stderr)
        status = 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        status = _complain(f"cannot write {error.filename or 'to disk'}: {error.strerror}")
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> int:
    print("nas: " + printable(" ".join(message.split())), file=sys.stderr)
    return 2
