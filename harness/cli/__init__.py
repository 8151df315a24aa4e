"""The command line: one file a command, the only room that prints. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import importlib
import sys
import unicodedata

import click

from ..errors import GridError, HarnessError

COMMANDS = ("ablate", "list", "show", "check", "report", "compare", "predict", "export", "data", "new", "doctor")
EXIT_FAILED, EXIT_USER, EXIT_INTERRUPTED = 1, 2, 130


class Commands(click.Group):
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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--no-plugins", is_flag=True, help="Load only what ships with the program.")
@click.pass_context
def group(context: click.Context, no_plugins: bool) -> None:
    """Ablation studies that can be believed: a grid of components, trained, paired, compared."""
    context.obj = {"third_party": not no_plugins}


def main() -> None:
    """Run the command line. Exit codes: 0 well, 1 some trials failed, 2 the user can mend it, 130 interrupted."""
    try:
        code = group.main(standalone_mode=False)
    except HarnessError as error:
        show(error)
        code = EXIT_USER
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; everything so far is kept, and the same command goes on from there", err=True)
        code = EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def show(error: HarnessError) -> None:
    """Print an error and its hint; a grid's mistakes one after the other."""
    mistakes = error.mistakes if isinstance(error, GridError) else (error,)
    for mistake in mistakes:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {_harmless(mistake.message)}", err=True)
        if mistake.hint:
            click.echo(f"{click.style(' hint:', fg='cyan')} {_harmless(mistake.hint)}", err=True)


def _harmless(text: str) -> str:
    """Names of files may hold what a terminal takes for commands; line breaks stay."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text)
