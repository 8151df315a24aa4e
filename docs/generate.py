"""Write components.md, commands.md and contracts.md from the program itself: `python docs/generate.py`."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from harness import contracts
from harness.cli import group
from harness.cli.show_command import CONTRACTS
from harness.discovery import load
from harness.registry import KINDS, Component, Option, Registry

MARK = "\b\n"
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
| `HARNESS_PLUGINS` | names of entry points, with commas between; no other third party is loaded. Empty: none |
| `HARNESS_TRACKERS` | trackers that are told of every study, with commas between. Default: `tensorboard`. Empty: none |
| `NO_COLOR` | not empty: no colours, no bold and no bars, only plain lines |
| `FORCE_COLOR` | not empty: colours also where the output is no terminal; `NO_COLOR` wins |

## Output for other programs

`list`, `show`, `compare`, `doctor` and `check` take `--json`: one JSON document on standard output, nothing else.
Its keys are listed below with each command, `[]` for the entries of a list, `<name>` for a key that is a name; they
stay as they are, and later versions may add some. A number that is not finite is the text `nan`, `inf` or `-inf`.
Errors and warnings stay text on standard error, and exit codes are the same.

What goes to a file or a pipe has no colours and no bars, and a row of a table stays on its line."""

CONTRACTS_PAGE = """\
What the parts of the program promise each other, as `harness/contracts.py` has it. Write a component against this page
and the page of its kind ([plugins.md](plugins.md#kinds-of-components)). A class need not inherit from a protocol:
having its members is enough. Dataclasses are frozen. Letters in brackets are axes: B items of a batch, T time, C
channels, H and W height and width, K classes or kinds, N and R any number."""

GROUPS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "Data": (
        "See [write-a-dataset.md](write-a-dataset.md).",
        {
            "Batch": "Made by a split, prepared by the engine, read by models and tasks.",
            "Arrays": "",
            "SplitName": "",
            "Spec": "Given by datasets in `DatasetInfo` and by tasks in `IO`.",
            "DatasetInfo": "Given by `describe` of a dataset's target; read by the grid and by tasks.",
            "Dataset": "What the target of a dataset returns.",
            "Split": "Given by a dataset; read by the engine.",
            "Generates": "A split may have it.",
            "Frames": "A split may have it.",
        },
    ),
    "Models and attention": (
        "See [write-a-model.md](write-a-model.md) and [write-a-block.md](write-a-block.md).",
        {
            "Output": "Made by a model; read by tasks.",
            "IO": "Made by a task; given to the target of a model.",
            "Model": "What the target of a model returns.",
            "AttentionFactory": "Made by the program out of the target of a block; given to `Model.attach`.",
        },
    ),
    "Training": (
        "See [write-a-loss.md](write-a-loss.md).",
        {
            "Loss": "What the target of a loss returns.",
            "Augment": "What the target of an augmentation returns.",
        },
    ),
    "Judging": (
        "See [write-a-task.md](write-a-task.md).",
        {
            "Task": "What the target of a task returns.",
            "Metric": "Listed by a task.",
            "Items": "Given by `Task.measure` and `Task.floors`; stored.",
            "FigureKind": "",
            "Figure": "Given by `Task.figures`; stored, and drawn by the report.",
            "Evaluation": "Made by the program itself.",
        },
    ),
    "The store": (
        "A component never meets it.",
        {"Sink": "Implemented by the store."},
    ),
}
"""Every public name of harness/contracts.py, and who makes or reads it. A name that is missing here is an error."""


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
    lines = [f"## {name}", "", _prose(command.help or ""), "", "```text", " ".join(pieces), "```"]
    if options:
        rows = [(", ".join(f"`{o}`" for o in p.opts), _values(p), _preset(p), p.help or "") for p in options]
        lines += ["", *_table(("option", "value", "default", "meaning"), rows)]
    keys = getattr(command, "keys", {})
    if keys:
        lines += ["", "Keys of `--json`:", "", *_table(("key", "meaning"), [(f"`{k}`", v) for k, v in keys.items()])]
    examples = getattr(command, "examples", ())
    if examples:
        lines += ["", "Examples:", "", "```console", *(f"$ {e}" for e in examples), "```"]
    elif command.epilog:
        lines += ["", command.epilog.replace("Example: ", "Example: `") + "`"]
    return "\n".join(lines)


def _prose(text: str) -> str:
    """A help text as Markdown: what click leaves as it stands (behind its mark) becomes a block."""
    parts = inspect.cleandoc(text).split("\n\n")
    blocks = [f"```text\n{p.removeprefix(MARK)}\n```" if p.startswith(MARK) else p for p in parts]
    return "\n\n".join(blocks)


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
    # What stands there for "none" differs between versions of click; some give a mark of their own.
    value = None if option.is_flag or option.multiple else option.get_default(click.Context(group))
    return f"`{value}`" if isinstance(value, (str, int, float, Path)) else ""


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def contracts_page() -> str:
    """The text of contracts.md. Raises KeyError if GROUPS lacks a name, or has one that there is not."""
    found = dict(_declared(ast.parse(inspect.getsource(contracts)).body))
    parts = ["# Contracts", MADE, CONTRACTS_PAGE]
    for title, (introduction, names) in GROUPS.items():
        parts += [f"## {title}", introduction]
        parts += ["\n".join([f"### `{name}`", "", *found.pop(name)(who)]) for name, who in names.items()]
    if found:
        raise KeyError(f"GROUPS lacks {', '.join(found)}")
    return "\n\n".join(parts) + "\n"


def _declared(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    """(public name, function from who uses it to the lines about it)."""
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.If):  # what is for type checkers alone
            yield from _declared(node.body)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, lambda who, node=node: _class(node, who)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            said = _text(after)
            value = ast.unparse(node.value)
            yield node.target.id, lambda who, said=said, value=value: _paragraphs(f"A name for `{value}`.", who, said)


def _class(node: ast.ClassDef, who: str) -> list[str]:
    protocol = any("Protocol" in ast.unparse(base) for base in node.bases)
    lines = _paragraphs("A protocol." if protocol else "A dataclass.", who, ast.get_docstring(node) or "")
    members, notes = [], []
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(item, ast.AnnAssign):
            members.append(ast.unparse(item))
            said = _text(after)
        elif isinstance(item, ast.FunctionDef):
            given = ast.unparse(item.args).removeprefix("self").removeprefix(", ")
            returned = ast.unparse(item.returns) if item.returns else "None"
            members.append(f"{item.name}({given}) -> {returned}")
            said = ast.get_docstring(item) or ""
        else:
            continue
        if said:
            name = ast.unparse(item.target) if isinstance(item, ast.AnnAssign) else item.name
            notes.append(f"- `{name}`: {' '.join(said.split())}")
    return [*lines, "", "```text", *members, "```", *(["", *notes] if notes else [])]


def _text(node: ast.stmt | None) -> str:
    """A string that stands alone, as the description of what is declared above it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _paragraphs(what: str, who: str, said: str) -> list[str]:
    return [f"{what} {who}".strip(), *(["", said] if said else [])]


def main() -> None:
    """Write the pages."""
    (HERE / "components.md").write_text(components(load(third_party=False).registry), encoding="utf-8")
    (HERE / "commands.md").write_text(commands(), encoding="utf-8")
    (HERE / "contracts.md").write_text(contracts_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
