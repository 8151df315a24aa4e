"""`harness new` as it is typed: what it prints, and how it ends."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from harness.cli import group, main
from harness.scaffold import KINDS, Names
from harness.scaffold.writing import render

EXAMPLE = Path(__file__).parents[2] / "examples" / "harness-triplet"


def new(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["harness", "--no-plugins", "new", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("out", [".", "below", "with a blank", "../elsewhere"])
def test_it_tells_four_commands_that_fit_what_was_written(home: Path, monkeypatch, capsys, out: str):
    assert new(monkeypatch, "attention", "my_block", "--out", out) == 0
    printed = capsys.readouterr().out
    for path in (p for p in (home / out).rglob("*") if p.is_file()):
        assert f"  {path.relative_to(home / out).as_posix()}\n" in printed
    go, install, check, ablate = (shlex.split(line) for line in printed.splitlines()[-4:])
    assert go[0] == "cd"
    assert (home / go[1] / "pyproject.toml").is_file()
    assert install == ["pip", "install", "-e", "."]
    assert check == ["harness", "check", "attention", "my_block"]
    assert ablate[:3] == ["harness", "ablate", "--grid"]
    assert (home / go[1] / ablate[3]).is_file()


def test_without_out_it_is_put_into_this_folder(home: Path, monkeypatch):
    assert new(monkeypatch, "loss", "my_loss") == 0
    assert (home / "harness-my-loss" / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["attention", "MyBlock"], "for instance 'my_block'"),
        (["attention", "class"], "a keyword of Python"),
        (["attention", "se"], "'se' is taken"),
        (["attention", "losses"], "there is a package 'harness_losses' already"),
        (["optimizer", "my_block"], "'optimizer' is not one of"),
        (["attention"], "Missing argument 'NAME'"),
        (["attention", "my_block", "--out", "file"], "'file' is there and is no folder"),
        (["attention", "taken"], "is there and has files in it"),
    ],
)
def test_what_the_user_can_mend_ends_with_2_and_writes_nothing(home: Path, monkeypatch, capsys, arguments, told):
    (home / "file").write_text("mine\n")
    (home / "harness-taken").mkdir()
    (home / "harness-taken" / "notes.txt").write_text("mine\n")
    assert new(monkeypatch, *arguments) == 2
    assert told in capsys.readouterr().err
    assert {p.name for p in home.rglob("*")} == {"file", "harness-taken", "notes.txt"}


READMES = {kind: render(Names(kind, f"my_{kind}"))["README.md"] for kind in KINDS}
READMES["example"] = (EXAMPLE / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", READMES)
def test_every_command_of_a_generated_readme_can_be_typed(page: str):
    typed = re.findall(r"^\$ harness (.+)$", READMES[page], re.M)
    assert {line.split()[0] for line in typed} - {"compare"} == {"list", "show", "check", "ablate"}
    for line in typed:
        name, *arguments = shlex.split(line)
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        command.make_context(name, arguments)
