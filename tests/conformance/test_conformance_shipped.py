"""What ships keeps to what is promised about it, and the kit names none of it as an exception."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conformance.looking import SLOW

from harness.conformance import check, subject_of
from harness.conformance.running import plan, run
from harness.discovery import load
from harness.registry import KINDS

ROOT = Path(__file__).parents[2]
REGISTRY = load(third_party=False).registry
COMPONENTS = [(c.kind, c.name) for c in REGISTRY.components() if c.kind != "dataset"]
SIBLINGS = {"resnet32", "resnet44", "resnet56", "resnet110", "convlstm_baseline"}
"""Models of the same code as one that is checked here; `-m slow` checks them all."""
QUICK = [c for c in COMPONENTS if c[1] not in SIBLINGS]
DEEP = {"resnet20", "keyframe_transformer"}
"""Models that get every block here; in the others one block is attached."""


@pytest.mark.parametrize(("kind", "name"), QUICK, ids=["-".join(c) for c in QUICK])
def test_a_component_that_ships_passes(kind: str, name: str) -> None:
    subject = subject_of(kind, name, third_party=False)
    for one in plan(subject):
        if one.name in SLOW - {"attaches"} or (one.name == "attention" and name not in DEEP):
            continue
        finding = run(one, subject)
        assert finding.level in ("passed", "skipped"), str(finding)
        if finding.level == "skipped" and finding.check != "attention":
            assert finding.what.startswith(("by design:", "it reads no maps", "it does not say", "it is no torch"))


@pytest.mark.parametrize("name", ["digits", "moving_digits", "image_folder"])
def test_a_dataset_that_ships_passes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    options = {"moving_digits": {"train_size": 8, "val_size": 4, "test_size": 4}}.get(name, {})
    if name == "image_folder":
        for i in range(40):
            path = tmp_path / "images" / f"class{i % 2}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(i).integers(0, 256, (9, 7, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        options = {"path": "images", "size": 8}
    report = check("dataset", name, third_party=False, **options)
    assert not report.failures + report.warnings, str(report)
    assert not [f for f in report.findings if f.level == "skipped"], str(report)


def test_a_dataset_without_its_files_or_its_path_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    for name, said in (("cifar10", "harness data fetch cifar10"), ("image_folder", "needs the option 'path'")):
        report = check("dataset", name, third_party=False)
        assert report.ok
        assert said in next(f.what for f in report.findings if f.check == "opens")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_ships_passes_every_check(kind: str) -> None:
    for name in REGISTRY.names(kind):
        report = check(kind, name, third_party=False)
        assert not report.failures + report.warnings, str(report)


def test_the_kit_makes_no_exception_by_name() -> None:
    """A component declares how it departs; the kit names built-ins only to attach to and to time against.

    In `general.py`, timm is the library, whose import is looked for.
    """
    uses = {
        "attention.py": {"timm"},
        "general.py": {"timm"},
        "temporal.py": {"keyframe_transformer"},
        "bench.py": {"none", "se"},
    }
    uses["bench.py"] |= {"hybrid_sequential", "global"}
    names = {name for _, name in COMPONENTS} - {"none", "global", "local", "channel", "step", "linear", "constant"}
    names -= {"spatial", "crop", "flip"}
    for path in (ROOT / "harness" / "conformance").glob("*.py"):
        quoted = set(re.findall(r"[\"']([a-z_0-9]+)[\"']", path.read_text(encoding="utf-8")))
        assert quoted & names <= uses.get(path.name, set()), path.name
