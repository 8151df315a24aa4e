"""Every command that a page shows can be typed, and the generated pages say what the program says."""

from __future__ import annotations

import click
import pytest
from docs.docs_pages import PACKAGES, commands, generator, text

from harness.cli import group, main
from harness.discovery import load

TYPED = commands()
CHEAP = [a for _, a in TYPED if a[:1] in (["list"], ["doctor"]) or a[:2] in (["--no-plugins", "list"], ["show"])]
OWN = {name for _, name in PACKAGES.values()}  # what is installed in test_docs_packages alone


def parse(arguments: list[str]) -> str:
    """The command's name. Raises UsageError for what click would not take."""
    arguments = [a for a in arguments if a != "--no-plugins"]
    command: click.Command = group
    name = "harness"
    while isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        found = command.get_command(context, arguments[0]) if arguments else None
        if found is None:
            raise click.UsageError(f"{arguments} is no command")
        name, command, arguments = f"{name} {arguments[0]}", found, arguments[1:]
    command.make_context(name, list(arguments))
    return name


@pytest.mark.parametrize(("place", "arguments"), TYPED, ids=[f"{p} {' '.join(a)}" for p, a in TYPED])
def test_a_command_that_a_page_shows_can_be_parsed(place: str, arguments: list[str]):
    try:
        parse(arguments)
    except click.ClickException as error:
        pytest.fail(f"{place}: harness {' '.join(arguments)}: {error.format_message()}")


def test_a_command_that_does_not_exist_would_be_noticed():
    with pytest.raises(click.UsageError):
        parse(["ablate", "--grid", "a.yaml", "--sett", "seeds=1"])
    with pytest.raises(click.UsageError):
        parse(["lst"])


@pytest.mark.parametrize("arguments", [a for a in CHEAP if not OWN & set(a)], ids=" ".join)
def test_a_cheap_command_ends_well(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr("sys.argv", ["harness", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert capsys.readouterr().out


def test_the_page_of_components_is_what_the_registry_says():
    assert text("components.md") == generator().components(load(third_party=False).registry), "run docs/generate.py"


def test_the_page_of_commands_is_what_the_command_line_says():
    assert text("commands.md") == generator().commands(), "run docs/generate.py"
    assert "UNSET" not in text("commands.md"), "click's own mark of no default"


def test_the_page_of_contracts_is_what_the_module_says():
    assert text("contracts.md") == generator().contracts_page(), "run docs/generate.py"


def test_every_command_and_option_stands_in_its_page():
    page = text("commands.md")
    for name, command in generator().walk(group, "harness"):
        section = page.split(f"## {name}\n", 1)[1].split("\n## ", 1)[0]
        for parameter in command.params:
            for flag in parameter.opts if isinstance(parameter, click.Option) else ():
                assert f"`{flag}`" in section, f"{name} {flag}"
