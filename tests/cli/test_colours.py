"""NO_COLOR and FORCE_COLOR, as the real program keeps to them in a terminal and in a pipe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cli.programs import harness, in_terminal

ESCAPE = "\x1b"
GRID = """\
study: tiny
dataset: digits
model: resnet20
train: {epochs: 1, batch_size: 512}
seeds: 1
evaluate: []
axes: {attention: [none]}
"""


def started(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness", *arguments]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["list", "attention"], 0, "kind"),
        (["list", "atention"], 2, "did you mean 'attention'?"),
        (["check", "augment", "flip"], 0, "passed"),
    ],
)
def test_tables_and_errors_have_codes_in_a_terminal_and_none_under_no_color(
    folder: Path, arguments: list[str], code: int, shown: str
):
    status, screen = in_terminal(folder, started(*arguments))
    assert (status, ESCAPE in screen) == (code, True), screen
    assert shown in screen
    status, screen = in_terminal(folder, started(*arguments), NO_COLOR="1")
    assert (status, ESCAPE in screen) == (code, False), screen
    assert shown in screen


def test_an_empty_no_color_is_none(folder: Path):
    assert ESCAPE in in_terminal(folder, started("list", "attention"), NO_COLOR="")[1]


def test_a_running_study_has_lines_in_place_of_bars_under_no_color(folder: Path):
    command = started("ablate", "--grid", "grid.yaml", "--workers", "1", "--device", "cpu")
    status, screen = in_terminal(folder, command, NO_COLOR="1")
    assert status == 0, screen
    assert ESCAPE not in screen
    assert "[1/1] none seed 0: top1" in screen


def test_a_pipe_is_plain_unless_colours_are_forced(folder: Path):
    assert ESCAPE not in harness(folder, "list", "attention").stdout
    assert ESCAPE not in harness(folder, "list", "atention").stderr
    assert ESCAPE in harness(folder, "list", "attention", FORCE_COLOR="1").stdout
    assert ESCAPE in harness(folder, "list", "atention", FORCE_COLOR="1").stderr
    both = harness(folder, "list", "attention", FORCE_COLOR="1", NO_COLOR="1")
    assert ESCAPE not in both.stdout


def test_a_terminal_that_knows_no_codes_gets_none(folder: Path):
    assert ESCAPE not in in_terminal(folder, started("list", "attention"), TERM="dumb")[1]
