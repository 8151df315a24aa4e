"""A file that an option names is part of the id."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import GridError
from harness.grid import Context, load
from harness.registry import Registry


def build(io: object, weights: str | None = None) -> None:
    """A target with an option that names a file; never called here."""


def registry() -> Registry:
    from harness.discovery import load as discover

    known = discover(third_party=False).registry
    known.add("model", "with_file", f"{__name__}:build", files=("weights",))
    return known


def trial_id(folder: Path, weights: str) -> str:
    grid = {
        "study": "x",
        "dataset": "digits",
        "model": {"name": "with_file", "weights": weights},
        "train": {"epochs": 1},
    }
    study = load(grid, registry(), Context(folder, "fp32", 1))
    return study.cells[0].trials[0].id


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_another_content_under_the_same_name_is_another_training(tmp_path: Path, module: None):
    (tmp_path / "weights").mkdir()
    file = tmp_path / "weights" / "net.th"
    file.write_bytes(b"one")
    before = trial_id(tmp_path, "net.th")
    assert trial_id(tmp_path, "net.th") == before
    file.write_bytes(b"another")
    assert trial_id(tmp_path, "net.th") != before


def test_a_missing_file_is_a_mistake_of_the_grid(tmp_path: Path, module: None):
    with pytest.raises(GridError, match=r"model\.weights: model with_file weights: there is no file 'gone\.th'"):
        trial_id(tmp_path, "gone.th")


@pytest.mark.parametrize(("written", "digit"), [("94", 0), ("94.1", -1), ("94.10", -2), ("25_600", 0)])
def test_a_claim_keeps_the_last_digit_as_it_was_written(tmp_path: Path, written: str, digit: int):
    text = (
        "study: s\ndataset: digits\nmodel: resnet20\ntrain: {epochs: 1}\n"
        f"claims: [{{metric: top1, where: {{attention: none}}, reported: {written}, source: a}}]\n"
    )
    (tmp_path / "grid.yaml").write_text(text)
    (claim,) = load(tmp_path / "grid.yaml", registry(), Context(tmp_path, "fp32", 1)).claims
    assert claim.last_digit == digit
