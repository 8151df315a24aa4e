"""`harness check` and the pytest plugin, as an author uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import foreign
from harness.cli import group
from harness.conformance import check, check_provider
from harness.errors import ConfigError, UnknownName
from harness.sources import foreign_digest

LOSS = """\
class Squared:
    expects = "unit"

    def __call__(self, output, target, mask=None):
        if output.shape != target.shape:
            raise ValueError("output and target have one shape")
        if mask is None:
            return ((output - target) ** 2).mean()
        return ((output[mask] - target[mask]) ** 2).mean()


class Summed(Squared):
    def __call__(self, output, target, mask=None):
        return super().__call__(output, target, mask) * (len(output) if mask is None else mask.sum())
"""
ENTRY = """\
from harness import hookimpl


@hookimpl
def harness_register(registry):
    registry.add("loss", "squared", "harness_thing.loss:Squared", summary="squares", source="original")
"""


def package(folder: Path, name: str, entry: str) -> None:
    """A distribution as an installer lays it out."""
    module = folder / name.replace("-", "_")
    module.mkdir()
    (module / "__init__.py").write_text(entry)
    (module / "loss.py").write_text(LOSS)
    info = folder / f"{name.replace('-', '_')}-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    point = name.removeprefix("harness-")
    (info / "entry_points.txt").write_text(f"[harness]\n{point} = {name.replace('-', '_')}\n")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A sound plugin, one with a fault and an entry module that imports torch, one that cannot be imported."""
    package(tmp_path, "harness-thing", ENTRY)
    faulty = ENTRY.replace('"squared"', '"summed"').replace("harness_thing.loss:Squared", "harness_bad.loss:Summed")
    package(tmp_path, "harness-bad", "import torch\n" + faulty)
    package(tmp_path, "harness-lost", "import no_such_module\n")
    return tmp_path


def run(folder: Path, *arguments: str, plugins: str = "thing,bad,lost") -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(folder), *(p for p in sys.path if p)])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200", "HARNESS_PLUGINS": plugins}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_provider_is_checked_by_its_entry_point_or_its_distribution(installed: Path) -> None:
    done = run(installed, "-m", "harness", "check", "harness-thing", "--json", plugins="thing")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is True
    (report,) = found["reports"]
    assert (report["kind"], report["name"], report["provider"]) == ("loss", "squared", "harness-thing 0.1")
    assert {f["level"] for f in report["findings"]} == {"passed", "skipped"}
    assert report["findings"][0]["what"] == "harness_thing: imports no torch"


def test_a_fault_ends_with_1_and_names_reason_and_remedy(installed: Path) -> None:
    done = run(installed, "-m", "harness", "check", "bad")
    assert done.returncode == 1, done.stderr
    assert "failed  entry: importing 'harness_bad' and declaring its components imports torch" in done.stdout
    assert "failed  mean_over_items: a batch costs" in done.stdout
    assert done.stdout.count("why:") == done.stdout.count("mend:") == 2
    assert "1 checked, 1 failed" in done.stdout


def test_a_plugin_that_cannot_be_loaded_is_a_failure_with_its_cause(installed: Path) -> None:
    done = run(installed, "-m", "harness", "check", "harness-lost", plugins="lost")
    assert done.returncode == 1
    assert "plugin lost (harness-lost 0.1): 1 failed" in done.stdout
    assert "No module named 'no_such_module'" in done.stdout


def test_a_target_that_cannot_be_imported_is_told_with_its_line_and_registering_is_not_blamed(installed: Path) -> None:
    (installed / "harness_thing" / "loss.py").write_text("from .deep import Squared\n")
    (installed / "harness_thing" / "deep.py").write_text("import json\n\nraise OSError('no licence')\n")
    done = run(installed, "-m", "harness", "check", "loss", "squared", plugins="thing")
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  failed")]
    assert line.endswith("OSError: no licence (harness_thing/deep.py:3)")
    assert "mend: mend that line, or uninstall harness-thing" in done.stdout
    assert "harness_register" not in done.stdout


def test_pytest_has_one_test_a_check(installed: Path) -> None:
    arguments = ("-m", "pytest", "-p", "harness.conformance.plugin", "-p", "no:cacheprovider", "-v")
    done = run(installed, *arguments, "--harness-provider", "thing", "--harness-provider", "bad")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "harness::loss::squared::seed SKIPPED" in done.stdout
    assert "harness::loss::squared::gradcheck PASSED" in done.stdout
    assert "harness::loss::summed::mean_over_items FAILED" in done.stdout
    assert "2 failed, 32 passed, 4 skipped" in done.stdout
    assert "mend: take the mean over the items of the batch" in done.stdout
    assert "Traceback" not in done.stdout


def test_pytest_refuses_an_unknown_plugin(installed: Path) -> None:
    done = run(
        installed, "-m", "pytest", "-p", "harness.conformance.plugin", "--harness-provider", "thingg", plugins="thing"
    )
    assert done.returncode == 4
    assert "no plugin is called 'thingg'" in done.stdout + done.stderr
    assert "did you mean 'thing'?" in done.stdout + done.stderr


def checked(folder: Path, declared: str | None) -> subprocess.CompletedProcess[str]:
    """pytest without a provider, in a project whose pyproject.toml says this."""
    project = folder / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n")  # so that pytest itself does not read the other file
    if declared is not None:
        (project / "pyproject.toml").write_text(declared)
    arguments = ("-m", "pytest", "-p", "harness.conformance.plugin", "-p", "no:cacheprovider", "-v")
    return run(folder, *arguments, "-c", str(project / "pytest.ini"), str(project), plugins="thing")


def test_pytest_takes_the_provider_from_the_projects_entry_points(installed: Path) -> None:
    done = checked(installed, '[project]\nname = "x"\n[project.entry-points.harness]\nthing = "harness_thing"\n')
    assert done.returncode == 0, done.stdout + done.stderr
    assert "harness::loss::squared::gradcheck PASSED" in done.stdout


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (None, "pyproject.toml'\n hint: --harness-provider NAME"),
        ('[project]\nname = "x"\n', "has no [project.entry-points.harness]"),
        ("[project.entry-points.harness]\n", "is empty"),
        ("[project", "cannot be read: "),
        ('[project.entry-points.harness]\nlost = "x"\n', "is not installed here: pip install -e ."),
    ],
)
def test_pytest_says_so_where_there_is_no_provider(tmp_path: Path, declared: str | None, said: str) -> None:
    done = checked(tmp_path, declared)
    assert done.returncode == 4, done.stdout + done.stderr
    assert said in done.stdout + done.stderr


def invoke(*arguments: str) -> object:
    return group.main(["--no-plugins", "check", *arguments], standalone_mode=False)


def test_one_component_shows_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("loss", "bce", "--set", "label_smoothing=0.1") == 0
    said = capsys.readouterr().out
    assert "loss bce (ablation-harness" in said
    assert "passed  better: " in said


def test_bench_sets_a_block_beside_none_se_and_cbam(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.conformance import bench
    from harness.conformance.running import examine

    monkeypatch.setattr(bench, "ROUNDS", 5)
    monkeypatch.setattr("harness.conformance.running.examine", lambda subject: examine(subject, ("builds",)))
    assert invoke("attention", "eca", "--bench") == 0
    said = capsys.readouterr().out
    for shape in ("64x56x56", "256x14x14", "512x7x7"):
        rows = [line.split() for line in said.splitlines() if line.startswith(shape)]
        assert [row[1] for row in rows] == ["eca", "none", "se", "hybrid_sequential"]
        assert int(rows[1][2]) == 0
        assert all(float(row[-4]) > 0 for row in rows)
    assert "parameters" in said
    assert "MACs" in said
    assert "lower is better" in said
    # 64 channels: SE has 2 * 64 * 4 weights and 64 + 4 biases, ECA one kernel of 3
    assert ["eca", "3"] in [line.split()[1:3] for line in said.splitlines() if line.startswith("64x56x56")]
    assert ["se", "580"] in [line.split()[1:3] for line in said.splitlines() if line.startswith("64x56x56")]


def test_bench_of_a_block_for_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.conformance import bench, subject_of

    monkeypatch.setattr(bench, "ROUNDS", 5)
    _, costs = bench.bench(subject_of("attention", "local", third_party=False))
    assert [c.block for c in costs[:3]] == ["local", "none", "global"]
    assert costs[0].parameters == 4 * 256**2 + 4 * 256


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("attention",), "'attention' is a kind; name a component of it"),
        (("harness_losses", "--bench"), "--bench needs a component"),
        (("loss", "bce", "--bench"), "--bench compares blocks of attention"),
        (("harness_losses", "--set", "a=1"), "--set needs a component"),
        (("harness_loses",), "no plugin is called 'harness_loses'"),
        (("attention", "see"), "unknown attention 'see'"),
        (("atention", "se"), "unknown kind 'atention'"),
        (("attention", "se", "--set", "reductoin=8"), "has no option 'reductoin'"),
        (("attention", "se", "--set", "reduction=eight"), "option 'reduction' is 'eight', which is no int"),
        (("attention", "se", "--set", "reduction"), "this is no OPTION=VALUE"),
    ],
)
def test_what_cannot_be_checked_is_said(arguments: tuple[str, ...], said: str) -> None:
    import click

    with pytest.raises((click.UsageError, ConfigError)) as caught:
        invoke(*arguments)
    assert said in str(caught.value) + getattr(caught.value, "message", "")


def test_bench_is_for_attention() -> None:
    from harness.conformance import bench, subject_of

    with pytest.raises(ConfigError, match="--bench compares blocks of attention"):
        bench.bench(subject_of("loss", "bce", third_party=False))


def test_a_built_in_module_is_a_provider() -> None:
    reports = check_provider("harness.augment", third_party=False)
    assert [r.name for r in reports] == ["color_jitter", "crop", "erasing", "flip"]
    assert all(r.ok for r in reports)
    with pytest.raises(UnknownName, match="no plugin is called"):
        check_provider("harness.nothing", third_party=False)


def test_what_could_not_be_looked_at_is_counted_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    reports = [check("dataset", "cifar10", third_party=False), check("augment", "flip", third_party=False)]
    assert [r.unseen for r in reports] == [True, False]
    monkeypatch.setattr("harness.conformance.examined", lambda name, third_party: iter(reports))
    assert invoke("harness_datasets") == 0
    assert "2 checked, none failed; 1 of them could not be looked at here" in capsys.readouterr().out
    monkeypatch.setattr("harness.conformance.examined", lambda name, third_party: iter(reports[1:]))
    assert invoke("harness.augment") == 0
    assert "1 checked, all keep to it\n" in capsys.readouterr().out


PLAIN = """\
from torch import nn


class MyBlock(nn.Module):
    def __init__(self, channels, reduction=4):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * self.conv(x).sigmoid()


class Flat(MyBlock):
    \"\"\"Flat.

    Indented.
    \"\"\"

    domain = "flat"
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, in which a module lies that is on no path."""
    (tmp_path / "my_checked.py").write_text(PLAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    yield tmp_path
    if tmp_path in foreign._entered:
        foreign._leave(tmp_path)


def test_a_class_of_the_current_folder_is_checked_as_a_grid_takes_it(
    beside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke("attention", "my_checked:MyBlock") == 0
    said = capsys.readouterr().out
    assert "skipped entry: a class that is no plugin: no command imports it to list it" in said
    assert "skipped summary: a class that is no plugin: no list shows it" in said
    assert "skipped source: a class that is no plugin" in said
    assert "passed  domain: not said, so it is taken for a block for maps [B, C, H, W]" in said
    assert "warning options: 'reduction' has no type" in said
    assert f"passed  code: hash {foreign_digest('my_checked')}" in said


def test_a_domain_that_there_is_not_is_a_fault_of_any_class(beside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("attention", "my_checked:Flat") == 1
    assert "failed  domain: `domain` is 'flat'" in capsys.readouterr().out


def test_show_finds_it_too_and_prints_its_own_docstring_alone(beside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, doc in (("MyBlock", []), ("Flat", ["", "Flat.", "", "Indented."])):
        command = ["--no-plugins", "show", "attention", f"my_checked:{name}"]
        assert group.main(command, standalone_mode=False) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"attention my_checked:{name}: no plugin\n  provider: module my_checked\n")
        assert said.splitlines()[7:] == doc, "torch's own text would stand there"


def test_importing_the_kit_imports_no_torch() -> None:
    code = "import sys, harness.conformance; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
