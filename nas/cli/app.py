"""The command `nas`: its verbs, and how errors reach the user."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from nas import __version__
from nas.cli import (
    bench,
    build,
    calibrate,
    compress,
    deploy,
    devices,
    export,
    federate,
    monitor,
    pick,
    predict,
    profile,
    report,
    search,
    spaces,
    switch,
    train,
    verify,
)
from nas.cli.output import QUIET_HELP, Interrupted, set_quiet
from nas.errors import UserError
from nas.files.plain import printable

# Typer carries a copy of Click that it does not export; these are its UsageError and ClickException
_UsageError: type[Exception]
_ClickError: type[Exception]
_UsageError, _ClickError = typer.BadParameter.__mro__[1:3]

LONGEST = 1200  # characters of an error: longer is a text or a name from a file
_OF_THE_SYSTEM = {  # errors that the user can do something about: full disk, permissions, a path that cannot be
    errno.ENOSPC: "write to", errno.EDQUOT: "write to", errno.EROFS: "write to", errno.EFBIG: "write to",
    errno.EACCES: "use", errno.EPERM: "use", errno.ENAMETOOLONG: "use", errno.ELOOP: "use", errno.ENOTDIR: "use",
}  # fmt: skip
HELP = """Search neural networks for a device.

A search space and a device profile go in; a Pareto front of accuracy against latency and energy comes out. Pick a
network from it and take it to the board:

\b
  nas search --device raspberry-pi-4
  nas pick runs/tiny-raspberry-pi-4-1 --max-latency 3ms
  nas deploy runs/tiny-raspberry-pi-4-1 --pick knee --precision int8 --out board

nas devices and nas spaces list what can be searched; nas profile measures a device of your own. Every command has
--help with an example.
"""

app = typer.Typer(
    name="nas",
    help=HELP,
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help=QUIET_HELP)] = False,
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    set_quiet(quiet)


app.command("search", short_help="Search a space for the best networks on a device.")(search.search)
app.command("report", short_help="Write the report of a run, or compare several runs.")(report.report)
app.command("pick", short_help="Pick one network of a run, under budgets or at the knee.")(pick.pick)
app.command("train", short_help="Train a picked network in full, also from a teacher.")(train.train)
app.command("build", short_help="Write a picked network as an ONNX file.")(build.build)
app.command("compress", short_help="Prune or quantize a trained model, within a largest drop.")(compress.compress)
app.command("export", short_help="Write a trained model as a file for a runtime.")(export.export)
app.command("deploy", short_help="Make a folder that runs a picked network on a board.")(deploy.deploy)
app.command("verify", short_help="Run a deployment on its images and time it, here or on a board.")(verify.verify)
app.command("monitor", short_help="Show what a served deployment has noted.")(monitor.monitor)
app.command("calibrate", short_help="Make a version for what the camera sees now.")(calibrate.calibrate)
app.command("federate", short_help="Let several sites learn one network, images staying there.")(federate.federate)
app.command("switch", short_help="Put another version of a deployment into use, or go back.")(switch.switch)
app.command("predict", short_help="Predict what any network costs on a device.")(predict.predict)
app.command("spaces", short_help="List the search spaces, or show one.")(spaces.spaces)
app.add_typer(profile.app, name="profile", short_help="Measure a profile of this machine or of a board.")
app.add_typer(bench.app, name="bench", short_help="Compare samplers or estimators on a table of networks.")
app.add_typer(devices.app, name="devices", short_help="List, show, check, compare or make device profiles.")


def main() -> None:
    """Runs the command line. Exit status: 0 done, 1 done in part, 2 a user's mistake, 130 interrupted."""
    try:
        status = app(args=sys.argv[1:] or ["--help"], prog_name="nas", standalone_mode=False)
        if status == 130:  # what Typer makes of an interrupt
            print("nas: interrupted", file=sys.stderr)
    except UserError as error:
        status = _complain(str(error))
    except typer.Exit as stop:
        status = stop.exit_code
    except _ClickError as error:
        context = getattr(error, "ctx", None) if isinstance(error, _UsageError) else None
        where = f" (see {context.command_path} --help)" if context else ""
        status = _complain(str(getattr(error, "format_message", error.__str__)()) + where)
    except Interrupted as stop:
        print(f"nas: {printable(str(stop))}", file=sys.stderr)
        status = 130
    except (KeyboardInterrupt, typer.Abort):
        print("nas: interrupted", file=sys.stderr)
        status = 130
    except OSError as error:
        if error.errno not in _OF_THE_SYSTEM:
            raise
        status = _complain(f"cannot {_OF_THE_SYSTEM[error.errno]} {error.filename or 'the disk'}: {error.strerror}")
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> int:
    from nas.run.storage import without_secrets  # late: an error is rare

    line = without_secrets(printable(" ".join(message.split())))
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 4 :]}"
    print(f"nas: {line}", file=sys.stderr)
    return 2
