"""Every kind of mistake, with its line, its message and its hint; and files that mean harm."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from grid_cases_parts import HEAD, PARTS
from grid_cases_rows import ROWS
from grid_components import BASE, CONTEXT, plan, registry

from harness.errors import GridError
from harness.grid import load


def mistakes(path: Path, text: str | bytes) -> list[tuple[str, str]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GridError) as caught:
        load(path, registry(), CONTEXT)
    return [(m.message.removeprefix(f"{path}:"), m.hint or "") for m in caught.value.mistakes]


@pytest.mark.parametrize(("text", "message", "hint"), [*PARTS.values(), *ROWS.values()], ids=[*PARTS, *ROWS])
def test_a_mistake_is_told_with_line_and_hint(tmp_path: Path, text: str, message: str, hint: str) -> None:
    (found,) = mistakes(tmp_path / "g.yaml", text)
    assert found[0].startswith(message)
    assert hint in found[1]
    assert bool(hint) <= bool(found[1])


def test_all_mistakes_are_told_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
study: a/b
titel: x
dataset: toy
model: {name: net, dept: 3}
train: {epochs: 0, optimizer: sgdd}
seeds: [a]
axes:
  attention: [none, ecaa, off, se]
  attention.reducton: [4]
baseline: {atention: none}
claims:
  - {metric: top1}
"""
    found = [message for message, _ in mistakes(tmp_path / "g.yaml", text)]
    lines = [int(m.split(":")[0]) for m in found]
    assert lines == sorted(lines)
    assert lines == [1, 2, 4, 5, 5, 6, 8, 8, 9, 10, 12, 12, 12][: len(lines)]
    assert [m.split(":")[1].strip() for m in found][6:9] == [
        "axes.attention[1]",
        "axes.attention[2]",
        "axes.attention.reducton",
    ]


def test_the_error_that_the_house_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ablations.yaml").write_text(
        "#\n" * 9 + HEAD + "axes:\n  attention: [none, se, ecaa]\n".replace("axes:", "axes:")
    )
    with pytest.raises(GridError) as caught:
        load(Path("ablations.yaml"), registry(), CONTEXT)
    assert str(caught.value) == (
        "ablations.yaml:15: axes.attention[2]: unknown attention 'ecaa'\n hint: did you mean 'eca'?"
    )


def test_a_mistake_in_many_rows_is_told_once(tmp_path: Path) -> None:
    text = HEAD + "axes:\n  attention: [ecaa, se]\n  model.depth: [1, 2, 3, x]\n  train.batch_size: [1, 2, 3]\n"
    assert len(mistakes(tmp_path / "g.yaml", text)) == 2


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"axes": {"attention": ["none", "se", "ecaa"]}}, "grid: axes.attention[2]: unknown attention 'ecaa'"),
        ({"attention": object()}, "grid: attention: a value of type 'object' cannot stand in a grid"),
        ({3: 4}, "grid: 3: a key must be text"),
        ({"train": {"epochs": float("nan")}}, "grid: train.epochs: the number is not finite"),
        ({"title": b"x"}, "grid: title: a value of type 'bytes' cannot stand in a grid"),
    ],
)
def test_a_mapping_has_places_without_lines(grid: dict[Any, Any], message: str) -> None:
    with pytest.raises(GridError) as caught:
        plan({**BASE, **grid})
    assert message in [m.message for m in caught.value.mistakes]


def test_a_mapping_that_holds_itself_is_refused() -> None:
    grid = dict(BASE)
    grid["title"] = grid
    with pytest.raises(GridError, match="levels deep"):
        plan(grid)


# ------------------------------------------------------------------------------------------------- files that mean harm

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "a call": (
        "study: !!python/object/apply:os.system ['touch PWNED']\n",
        "1: study: the tag '!!python/object/apply:os",
    ),
    "an object": ("title: !!python/object/new:pathlib.Path [PWNED]\n", "1: title: the tag '!!python/object/new"),
    "a module": ("title: !!python/module:antigravity\n", "1: title: the tag '!!python/module:antigravity'"),
    "a thousand million laughs": (LAUGHS, "more than 50,000 values"),
    "an alias of itself": ("study: &a\n  b: *a\n", "levels deep"),
    "deep brackets": ("study: " + "[" * 100_000, "levels deep"),
    "deep mappings": ("".join(" " * i + "a:\n" for i in range(400)), "levels deep"),
    "many values": ("a: [" + "1, " * 60_000 + "]", "more than 50,000 values"),
    "a huge file": ("# " + "x" * 1_000_000, "is larger than 1,000,000 bytes"),
    "binary": (bytes(range(256)) * 10, "is not UTF-8 text"),
    "utf-16": (HEAD.encode("utf-16"), "is not UTF-8 text"),
    "a null byte": ("study: s\ntitle: \x00\n", "2: not valid YAML: character"),
    "a huge number": ("study: s\nseeds: " + "9" * 5000 + "\n", "2: seeds: "),
    "a huge exponent": ("study: s\nseeds: 1e999\n", "2: seeds: the number is not finite"),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_quickly_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    found = mistakes(Path("g.yaml"), text)
    assert any(message in m for m, _ in found)
    assert time.process_time() - start < 10
    assert not Path("PWNED").exists()


def test_a_file_that_is_not_there_or_a_folder_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(GridError, match="cannot be read") as caught:
            load(path, registry(), CONTEXT)
        assert caught.value.mistakes[0].hint
