"""The command line: one file a command, the only room that prints. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import importlib
import os
import sys

import click

from ..errors import GridError, HarnessError
from .manual import ManualGroup
from .terminal import coloured, show_warnings_in_one_line, tell

COMMANDS = (
    *("ablate", "list", "show", "report", "compare", "predict", "export"),
    *("new", "check", "data", "doctor", "completion"),
)
EXIT_FAILED, EXIT_USER, EXIT_INTERRUPTED = 1, 2, 130


class Commands(ManualGroup):
    """Finds a command in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}_command", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from ..registry import suggest

            raise click.UsageError(f"no such command '{args[0]}'\n hint: {suggest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


def _version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from ..discovery import version_of

        click.echo(version_of("ablation-harness"))
        context.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    examples=(
        "harness ablate --grid ablations.yaml",
        "harness list attention",
        "harness --no-plugins doctor",
    ),
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--no-plugins", is_flag=True, help="Load only what ships with the program.")
@click.pass_context
def group(context: click.Context, no_plugins: bool) -> None:
    """Ablation studies that can be believed: a grid of components, trained, paired, compared.

    `harness COMMAND --help` explains a command, with examples.

    \b
    Exit codes:  0 well, 1 some trials failed, 2 you can mend it, 130 interrupted
    Environment: HARNESS_DATA, HARNESS_CACHE, HARNESS_PLUGINS,
                 HARNESS_TRACKERS, NO_COLOR, FORCE_COLOR
    """
    context.obj = {"third_party": not no_plugins}
    context.color = coloured(sys.stdout)  # what every `click.echo` of a command goes by


def main() -> None:
    """Run the command line. Exit codes: 0 well, 1 some trials failed, 2 the user can mend it, 130 interrupted."""
    asked = os.environ.get("_HARNESS_COMPLETE")
    if asked:
        from .completing import answer

        sys.exit(answer(group, asked))
    show_warnings_in_one_line()
    try:
        code = group.main(standalone_mode=False)
    except HarnessError as error:
        show(error)
        code = EXIT_USER
    except click.ClickException as error:
        refuse(error)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; everything so far is kept, and the same command goes on from there", err=True)
        code = EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def refuse(error: click.ClickException) -> None:
    """What click says of a line that it does not take, in the form of every other error."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # newer than the oldest click we take
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(context.get_usage(), err=True)
    message, mark, hint = error.format_message().partition("\n hint: ")
    tell("error", message, hint if mark else f"{context.command_path} --help" if context is not None else None)


def show(error: HarnessError) -> None:
    """Print an error and its hint; a grid's mistakes one after the other."""
    mistakes = error.mistakes if isinstance(error, GridError) else (error,)
    for mistake in mistakes:
        tell("error", mistake.message, mistake.hint)
