"""Generated packages as their author meets them: installed, listed, checked, tested and trained, unchanged."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
from scaffold import fresh

from harness.scaffold import KINDS

SKIPPED = {"loss": {"seed", "weights_only"}}
"""What does not apply: the loss has no weights."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_package_works_as_generated(tmp_path: Path, kind: str):
    env = fresh.make(tmp_path)
    name, package = f"my_{kind}_x", env.home / f"harness-my-{kind}-x"
    env.harness("new", kind, name, "--out", package.name)
    env.install(package, editable=True)

    listed = env.harness("list", kind)
    assert re.search(rf"{name} .* {package.name} 0\.1\.0", listed.stdout)
    assert not listed.stderr
    taken = env.harness("new", kind, name, "--out", "elsewhere", code=2)
    assert f"'{name}' is taken: {package.name} 0.1.0 registers it" in taken.stderr

    checked = env.harness("check", kind, name)
    assert name in checked.stdout
    tested = env.run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=package)
    assert re.search(r"[3-9] passed", tested.stdout)

    train = ("ablate", "--grid", f"{name}.yaml", "--device", "cpu", "--workers", "1", "--set", "seeds=1")
    env.harness(*train, folder=package)
    records = [json.loads(p.read_text(encoding="utf-8")) for p in package.glob("runs/trials/*/record.json")]
    assert [r["status"] for r in records] == ["ok"] * (3 if kind == "attention" else 2)
    used = [r["providers"].get(f"{kind} {name}") for r in records]
    assert f"{package.name} 0.1.0" in used
    assert name in (package / "reports" / name / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_passes_the_checks_of_its_kind_as_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """In this process: with its folder on the path and its entry module called, it is as good as installed."""
    from harness.conformance.running import Subject, examine
    from harness.discovery import load
    from harness.registry import Registry
    from harness.scaffold import create

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    registry = load(third_party=False).registry
    name = f"quick_{kind}"  # of its own, as the module stays imported
    package = create(kind, name, tmp_path / "package", registry)
    monkeypatch.syspath_prepend(package.folder)
    module = f"harness_{name}"
    own = Registry(f"harness-{name} 0.1.0")
    importlib.import_module(module).harness_register(own)
    registry.merge(own)

    report = examine(Subject(registry.get(kind, name), registry, {}, (module,)))
    assert not report.failures + report.warnings, str(report)
    skipped = {f.check: f.what for f in report.findings if f.level == "skipped"}
    assert set(skipped) <= SKIPPED.get(kind, set()), skipped


def test_it_goes_into_a_wheel_without_its_tests(tmp_path: Path):
    import zipfile

    from harness.discovery import load
    from harness.scaffold import create

    package = create("loss", "my_loss_x", tmp_path / "package", load(third_party=False).registry)
    with zipfile.ZipFile(fresh.wheel(package.folder, tmp_path)) as archive:
        inside = {n for n in archive.namelist() if ".dist-info/" not in n}
        text = archive.read("harness_my_loss_x-0.1.0.dist-info/METADATA").decode()
    assert inside == {f"harness_my_loss_x/{f}" for f in ("__init__.py", "loss.py", "py.typed")}
    assert "Requires-Dist: ablation-harness" in text
