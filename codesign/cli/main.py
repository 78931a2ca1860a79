"""The `codesign` command: global options, error messages and exit codes. Nothing heavy is imported here."""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from codesign.cli import benchmark_commands, catalogue_commands, evidence_command, explain_command, model_commands, study_commands, validate_commands
from codesign.cli.output import SETTINGS, emit
from codesign.errors import CodesignError, InputError

INTERNAL = 1
GLOBAL_FLAGS = ("--json", "--no-color", "-v", "--verbose", "-q", "--quiet")

app = typer.Typer(
    name="codesign",
    help="Search a neural network and its FPGA accelerator together, and prove each Pareto point bit for bit.",
    epilog="Exit codes: 0 ok, 1 internal, 2 bad input, 3 tool missing, 4 nothing feasible, 5 evaluations failed, "
    "6 verification mismatch, 7 store locked or of another schema, 130 interrupted. Global options may stand after a command too.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"codesign {version('codesign')}\n")
        raise typer.Exit


@app.callback()
def options(
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; human text on stderr.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks of internal errors.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No human text but errors.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
    show_version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Global options."""
    SETTINGS.json, SETTINGS.verbose, SETTINGS.quiet, SETTINGS.color = json, verbose, quiet, not no_color


catalogue_commands.register(app)
study_commands.register(app)
evidence_command.register(app)
explain_command.register(app)
model_commands.register(app)
validate_commands.register(app)
benchmark_commands.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    flags = [argument for argument in given if argument in GLOBAL_FLAGS]
    others = [argument for argument in given if argument not in GLOBAL_FLAGS]
    try:
        app(args=[*flags, *others])
    except SystemExit as end:
        if end.code == InputError.exit_code and "--json" in flags:
            SETTINGS.json = True
            emit({"error": {"what": "wrong arguments", "where": " ".join(given), "remedy": "See --help", "exit_code": InputError.exit_code}})
        raise
    except CodesignError as error:
        sys.exit(_report(error))
    except Exception as error:  # noqa: BLE001  # the last resort of a program: say it, and end with the documented code
        if SETTINGS.verbose:
            traceback.print_exc()
        sys.stderr.write(f"internal error: {type(error).__name__}: {error}\nRun again with -v for the traceback.\n")
        sys.exit(INTERNAL)


def _report(error: CodesignError) -> int:
    """Print an error for people on stderr and, with --json, for programs on stdout."""
    sys.stderr.write(f"error: {error}\n")
    emit({"error": {"what": error.what, "where": error.where, "remedy": error.remedy, "exit_code": error.exit_code}})
    return error.exit_code
