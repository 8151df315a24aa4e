"""Every help page has examples that can be typed, and says what an option is if it is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from cli.programs import commands, harness

from harness.cli import group

COMMANDS = dict(commands())


def examples(command: click.Command) -> list[str]:
    written = getattr(command, "examples", ()) or re.findall(r"^Example: (.+)$", command.epilog or "", re.M)
    return list(written)


def parse(line: str) -> click.Command:
    """The command that the line calls, after click has taken the line. Raises UsageError."""
    program, *words = shlex.split(line)
    assert program == "harness", line
    words = [w for w in words if w != "--no-plugins"]
    command: click.Command = group
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, line
        command, words = found, words[1:]
    command.make_context("harness", words)
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_of_itself_and_each_can_be_typed(name: str):
    found = examples(COMMANDS[name])
    assert found
    for line in found:
        try:
            called = parse(line)
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")
        if not isinstance(COMMANDS[name], click.Group):
            assert called is COMMANDS[name], line


def test_an_example_with_an_option_that_is_gone_would_be_noticed():
    with pytest.raises(click.UsageError):
        parse("harness list attention --as-yaml")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_shows_the_examples_and_fits_a_terminal(name: str, capsys: pytest.CaptureFixture[str]):
    context = click.Context(COMMANDS[name], info_name=name, terminal_width=80, show_default=True)
    page = COMMANDS[name].get_help(context)
    for line in examples(COMMANDS[name]):
        assert f"\n  {line}" in page or f"Example: {line}" in " ".join(page.split())
    assert max(len(line) for line in page.splitlines()) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_a_switch_required_repeatable_or_has_a_default_that_is_shown(name: str):
    context = click.Context(COMMANDS[name], info_name=name, show_default=True)
    for option in COMMANDS[name].params:
        if not isinstance(option, click.Option) or option.is_flag:
            continue
        _, text = option.get_help_record(context) or ("", "")
        optional = "in place of" in text or "if it is another" in text  # these say what holds without them
        assert option.required or option.multiple or "default: " in text.lower() or optional, option.opts


def test_the_first_page_names_every_command_and_the_exit_codes(tmp_path: Path):
    page = harness(tmp_path, "--help").stdout
    for name in COMMANDS:
        if name.count(" ") == 1:
            assert f"\n  {name.split()[1]} " in page
    for text in ("Examples:", "Exit codes:", "HARNESS_TRACKERS"):
        assert text in page
