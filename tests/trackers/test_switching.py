"""Which trackers hear of a study, what is refused before it trains, and a tracker that another package brings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.programs import harness, plugin

from harness import hookimpl
from harness.discovery import Plugins, load
from harness.errors import ConfigError, UnknownName
from harness.trackers.switching import switch_on

GRID = """\
study: tiny
dataset: digits
model: resnet20
train: {epochs: 2, batch_size: 512}
seeds: 1
evaluate: []
axes: {attention: [none]}
"""
OTHER = '''\
"""Two trackers of another package, on the public hooks alone."""
import json, pathlib
from harness import hookimpl

class Lines:
    def _write(self, **line):
        with pathlib.Path("lines.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\\n")
    @hookimpl
    def harness_trial_started(self, trial, directory, study):
        self._write(started=trial.id, study=study.name, folder=directory.name)
    @hookimpl
    def harness_epoch_finished(self, trial, epoch, values):
        self._write(epoch=epoch, loss="train/loss" in values)
    @hookimpl
    def harness_trial_finished(self, record):
        self._write(finished=record.status)

class Bad:
    @hookimpl
    def harness_epoch_finished(self, epoch):
        raise OSError("the server is gone")

class Misspelt:
    @hookimpl
    def harness_epoch_fnished(self, epoch): ...

class Unable:
    def __init__(self):
        import a_library_that_is_not_there

class Deaf: ...

@hookimpl
def harness_register(registry):
    for name in ("Lines", "Bad", "Misspelt", "Unable", "Deaf"):
        registry.add("tracker", name.lower(), f"harness_other:{name}")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path


def on(plugins: Plugins) -> set[str]:
    return {name for name, _ in plugins.manager.list_name_plugin() if name.startswith("tracker ")}


@pytest.mark.parametrize(
    ("variable", "asked", "expected"),
    [
        (None, [], {"tensorboard"}),
        (None, ["tensorboard"], {"tensorboard"}),
        ("", [], set()),
        ("", ["tensorboard"], {"tensorboard"}),
        (" tensorboard, ", [], {"tensorboard"}),
    ],
)
def test_trackers_are_those_of_the_variable_and_those_asked_for(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, asked: list[str], expected: set[str]
):
    monkeypatch.delenv("HARNESS_TRACKERS", raising=False)
    if variable is not None:
        monkeypatch.setenv("HARNESS_TRACKERS", variable)
    plugins = load(third_party=False)
    for _ in range(2):  # as for a second study with the same plugins
        switch_on(plugins, asked)
        assert on(plugins) == {f"tracker {name}" for name in expected}


def test_an_unknown_tracker_is_named_with_its_place_and_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    plugins = load(third_party=False)
    monkeypatch.setenv("HARNESS_TRACKERS", "tensorbord")
    with pytest.raises(UnknownName, match="HARNESS_TRACKERS: unknown tracker 'tensorbord'") as error:
        switch_on(plugins)
    assert error.value.hint == "did you mean 'tensorboard'?"
    monkeypatch.delenv("HARNESS_TRACKERS")
    with pytest.raises(UnknownName, match=r"^unknown tracker 'mlfow'"):
        switch_on(plugins, ["mlfow"])
    assert on(plugins) == set()


def test_another_package_brings_a_tracker_and_one_that_fails_is_left_out(folder: Path):
    home = plugin(folder, {"harness_other": OTHER})
    asked = ("ablate", "--grid", "grid.yaml", "--workers", "1", "--device", "cpu")
    done = harness(folder, *asked, "--tracker", "lines", "--tracker", "bad", home=home, HARNESS_TRACKERS="")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    (trial,) = [p.name for p in (folder / "runs" / "trials").iterdir()]
    assert lines == [
        {"started": trial, "study": "tiny", "folder": trial},
        {"epoch": 1, "loss": True},
        {"epoch": 2, "loss": True},
        {"finished": "ok"},
    ]
    said = "warning: tracker 'bad' failed in harness_epoch_finished and is left out: OSError: the server is gone"
    assert [line for line in done.stderr.splitlines() if "bad" in line] == [said]
    assert not (folder / "runs" / "trials" / trial / "events").exists()  # HARNESS_TRACKERS is empty


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("line", "unknown tracker 'line'", "did you mean 'lines'?"),
        ("unable", "cannot start: ModuleNotFoundError: No module named 'a_library_that_is_not_there'", "leave the"),
        ("misspelt", "harness_epoch_fnished", "the hooks are"),
        ("deaf", "tracker 'deaf' of harness-other 1.0 implements no hook", "harness.hookimpl"),
    ],
)
def test_what_cannot_start_is_said_before_anything_trains(folder: Path, name: str, message: str, hint: str):
    home = plugin(folder, {"harness_other": OTHER})
    done = harness(folder, "ablate", "--grid", "grid.yaml", "--tracker", name, home=home)
    assert done.returncode == 2
    assert message in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("library", ["mlflow", "wandb"])
def test_a_library_that_is_not_there_is_said_with_what_to_install(folder: Path, library: str):
    home = folder / "hidden"
    home.mkdir()
    (home / f"{library}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{library}'\")\n")
    done = harness(folder, "ablate", "--grid", "grid.yaml", "--tracker", library, home=home)
    assert done.returncode == 2
    assert f"tracker '{library}' needs the library" in done.stderr
    assert f"hint: pip install 'ablation-harness[{library}]'" in done.stderr
    assert not (folder / "runs").exists()


def test_a_tracker_that_is_not_asked_for_is_not_even_imported(monkeypatch: pytest.MonkeyPatch):
    plugins = load(third_party=False)
    plugins.registry.add("tracker", "never", "no_such_module:Never")
    monkeypatch.setenv("HARNESS_TRACKERS", "")
    switch_on(plugins)
    with pytest.raises(ConfigError, match="tracker 'never' of  cannot be loaded"):
        switch_on(plugins, ["never"])


def test_a_parameter_that_the_hook_lacks_is_refused():
    class Wrong:
        @hookimpl
        def harness_trial_finished(self, record, trial): ...

    plugins = load(third_party=False)
    plugins.registry.add("tracker", "wrong", "tracker_for_a_test:Wrong")
    with pytest.MonkeyPatch.context() as patch:
        module = type(pytest)("tracker_for_a_test")
        module.Wrong = Wrong
        patch.setitem(__import__("sys").modules, "tracker_for_a_test", module)
        with pytest.raises(ConfigError, match="hookimpl definition"):
            switch_on(plugins, ["wrong"])
