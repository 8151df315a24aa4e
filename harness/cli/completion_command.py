"""`harness completion`: the script that lets a shell complete names behind <TAB>."""

from __future__ import annotations

import click

from .manual import Manual

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=Manual,
    short_help="Print the script for completion in bash, zsh or fish.",
    examples=(
        "harness completion bash",
        "harness completion zsh",
        "harness completion fish",
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> int:
    """Print the script that makes a shell complete commands, options, kinds, components, studies and trials.

    To install it, add one line to a file of your shell, and open a new one. The program `harness` must be on PATH.

    \b
    bash (4.4 or newer), in ~/.bashrc:
      eval "$(harness completion bash)"
    zsh, in ~/.zshrc behind `autoload -U compinit; compinit`:
      eval "$(harness completion zsh)"
    fish, in ~/.config/fish/config.fish:
      harness completion fish | source

    Studies and trials are those of the store that --runs names on the line before them, else of `runs`.
    """
    from .completing import script

    click.echo(script(context.find_root().command, shell), nl=False)
    return 0
