"""Write docs/components.md and docs/commands.md from the program itself: `python docs/generate.py`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from harness.cli import group
from harness.cli.show_command import CONTRACTS
from harness.discovery import load
from harness.registry import KINDS, Component, Option, Registry

HERE = Path(__file__).parent
MADE = "<!-- Written by docs/generate.py; change the program's own texts instead. -->"

INTRODUCTION = """\
Every component that ships with the program, as `harness list` names it. `harness show KIND NAME` prints the same for
one component, plugins of others included. How to write options in a grid is said in [grid.md](grid.md); how to add a
component of your own in [plugins.md](plugins.md).

An option without a default is required. Ranges are checked when the model is built, before anything trains."""

COMMANDS = """\
`harness` is the installed command; `python -m harness` is the same. What the columns of a report mean is said in
[reports.md](reports.md), what a grid holds in [grid.md](grid.md).

## Exit codes

| code | meaning |
| --- | --- |
| 0 | well; for `ablate`: all trials of the study are ok |
| 1 | `ablate`: some trials failed, the report is written; `predict`: some inputs; `check`: a check. Traceback: a bug |
| 2 | something that you can mend; `doctor`: a plugin is broken; `data verify`: a file differs or is missing |
| 130 | interrupted (Ctrl-C); everything so far is kept, and the same command goes on from there |

## Environment variables

| variable | meaning |
| --- | --- |
| `HARNESS_DATA` | the data folder. Default: `data` in the platform's cache folder for `ablation-harness` |
| `HARNESS_CACHE` | decoded arrays, features of backbones, remembered hashes. Default: `made` in the same cache folder |
| `HARNESS_PLUGINS` | names of entry points, with commas between; no other third party is loaded. Empty: none |"""


def components(registry: Registry) -> str:
    """The text of components.md."""
    parts = ["# Components", MADE, INTRODUCTION]
    for kind in KINDS:
        parts.append(f"## {kind}\n\nContract: `{CONTRACTS[kind]}`")
        parts += [_component(c) for c in registry.components(kind)]
    return "\n\n".join(parts) + "\n"


def _component(component: Component) -> str:
    lines = [f"### {component.kind} `{component.name}`", "", f"{component.summary or 'No summary'}."]
    lines += ["", f"Source: {component.source or 'original'}. Target: `{component.target}`."]
    options = component.options()
    rows = [(f"`{o.name}`", f"`{o.type_name()}`", _default(o)) for o in options]
    lines += ["", *(_table(("option", "type", "default"), rows) if rows else ["No options."])]
    # The class's own text: `inspect.getdoc` would fall back to that of torch's Module.
    own = component.load().__doc__
    if own:
        lines += ["", "```text", inspect.cleandoc(own), "```"]
    return "\n".join(lines)


def _default(option: Option) -> str:
    if option.required:
        return "required"
    value = list(option.default) if isinstance(option.default, tuple) else option.default
    return f"`{json.dumps(value)}`"


def commands() -> str:
    """The text of commands.md."""
    parts = ["# Commands", MADE, COMMANDS]
    parts += [_command(name, command) for name, command in walk(group, "harness")]
    return "\n\n".join(parts) + "\n"


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """(full name, command) of a command and of all below it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from walk(found, f"{name} {child}")


def _command(name: str, command: click.Command) -> str:
    # Built from what click was told and not from its help page, whose layout differs between versions of click.
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option)]
    pieces = [name, "[OPTIONS]", *(_place(a) for a in arguments)]
    if isinstance(command, click.Group):
        pieces += ["COMMAND", "[ARGS]..."]
    lines = [f"## {name}", "", inspect.cleandoc(command.help or ""), "", "```text", " ".join(pieces), "```"]
    if options:
        rows = [(", ".join(f"`{o}`" for o in p.opts), _values(p), _preset(p), p.help or "") for p in options]
        lines += ["", *_table(("option", "value", "default", "meaning"), rows)]
    if command.epilog:
        lines += ["", command.epilog.replace("Example: ", "Example: `") + "`"]
    return "\n".join(lines)


def _place(argument: click.Argument) -> str:
    name = (argument.name or "").upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _values(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return "`" + "|".join(option.type.choices) + "`"
    name = option.type.name
    return f"`{option.metavar or (name.upper() if name.islower() else name)}`"


def _preset(option: click.Option) -> str:
    if option.required:
        return "required"
    shown = option.show_default and option.default is not None
    return f"`{option.default}`" if shown else ""


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def main() -> None:
    """Write both pages."""
    (HERE / "components.md").write_text(components(load(third_party=False).registry), encoding="utf-8")
    (HERE / "commands.md").write_text(commands(), encoding="utf-8")


if __name__ == "__main__":
    main()
