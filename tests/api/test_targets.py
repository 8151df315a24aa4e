"""Classes that are no plugins, in real studies: trained in workers, reported, opened again from elsewhere."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import harness
from harness import foreign, planning, sources
from harness.api import StudyResult
from harness.errors import ConfigError
from harness.store import Store
from harness.trial import Choice, Record

BLOCK = """
from torch import nn

from my_helpers import squash


class MyBlock(nn.Module):
    def __init__(self, dim, reduction: int = 16):
        super().__init__()
        self.fc = nn.Conv2d(dim, dim, 1, groups=max(1, dim // reduction))

    def forward(self, x):
        return x * squash(self.fc(x.mean((2, 3), keepdim=True)))


class MyLoss(nn.Module):
    expects = "logits"

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, output, target, mask=None):
        return self.weight * nn.functional.cross_entropy(output, target)


class Bare(nn.Module):
    def __init__(self, *anything):
        super().__init__()

    def forward(self, x, target=None):
        return x.mean()


class Dim:
    def __init__(self, by: float = 0.5):
        self.by = by

    def __call__(self, images, uniform):
        return images * self.by
"""
PARTS = """
from harness.tasks.classification import Classification
from harness_datasets.digits import Digits
from harness_models.cifar import resnet20


class MyDigits(Digits):
    pass


class MyTask(Classification):
    pass


def my_net(io):
    return resnet20(io)
"""
GRID = """\
study: foreign
dataset: digits
model: resnet20
loss: [cross_entropy, {target: "my_module:MyLoss", coefficient: 0.5}]
augment: [{target: "my_module:Dim", by: 0.9}]
train: {epochs: 1}
evaluate: [gates, knockout]
axes:
  attention:
  - none
  - {target: "my_module:MyBlock", reduction: 8}
claims:
- metric: parameters
  reported: 1
  source: someone
  where: {attention: {target: "my_module:MyBlock"}, loss.MyLoss.weight: 1}
"""
WHOLE = """\
study: whole
task: {target: "my_parts:MyTask"}
dataset: {target: "my_parts:MyDigits", val: 0.3}
model: {target: "my_parts:my_net"}
train: {epochs: 1}
evaluate: [gates]
attention: {name: timm, layer: ese}
"""

BLOCK_ROW = "MyBlock(reduction=8) (my_module)"


@pytest.fixture(scope="module", autouse=True)
def untouched() -> Iterator[None]:
    """What these tests put on Python's path and import is gone for others."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    foreign._entered.clear()
    for name in ("my_module", "my_helpers", "my_parts"):
        sys.modules.pop(name, None)
    sources.forget()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("foreign") / "study"
    here.mkdir()
    (here / "my_module.py").write_text(BLOCK)
    (here / "my_helpers.py").write_text("import torch\n\n\ndef squash(z):\n    return torch.sigmoid(z)\n")
    (here / "my_parts.py").write_text(PARTS)
    (here / "grid.yaml").write_text(GRID)
    (here / "whole.yaml").write_text(WHOLE)
    return here


def runs(folder: Path) -> Path:
    return folder.parent / "runs"


@pytest.fixture(scope="module")
def study(folder: Path) -> StudyResult:
    return harness.ablate(folder / "grid.yaml", runs=runs(folder), reports=folder.parent / "reports", workers=2)


@pytest.fixture(scope="module")
def whole(folder: Path) -> StudyResult:
    return harness.ablate(folder / "whole.yaml", runs=runs(folder), reports=folder.parent / "reports", workers=1)


def row(result: StudyResult, label: str) -> Record:
    cell = next(c for c in result.study.cells if c.label == label)
    return result.records[cell.trials[0].id]


def elsewhere(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run in a fresh process, in another folder, that knows nothing of the modules' folder."""
    paths = [p or os.getcwd() for p in sys.path if Path(p).name != "study"]
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True, check=False)


def test_workers_train_a_row_of_foreign_classes(study: StudyResult):
    assert study.failed == ()
    assert [c.label for c in study.study.cells] == ["none", BLOCK_ROW]
    record = row(study, BLOCK_ROW)
    assert record.status == "ok"
    assert record.cost["attention_parameters"] > 0
    assert record.providers["attention my_module:MyBlock"] == "module my_module"
    assert "train/MyLoss" in record.curve[0]


def test_the_record_holds_where_the_module_lay_and_the_id_does_not(study: StudyResult, folder: Path):
    record = row(study, BLOCK_ROW)
    assert record.targets == {"my_module": str(folder.resolve())}
    assert str(folder) not in json.dumps(harness.trial.to_plain(record.trial))
    assert dict(record.trial.provenance.sources)["attention my_module:MyBlock"] == sources.foreign_digest("my_module")


def test_the_row_is_measured_and_reported(study: StudyResult, folder: Path):
    record = row(study, BLOCK_ROW)
    store = Store(runs(folder))
    for name in ("gates", "knockout"):
        assert store.evaluation(record.id, name) is not None
    text = (study.report.parent / "report.md").read_text()
    assert "MyBlock(reduction=8) (my\\_module)" in text
    assert str(folder) not in text.split("The grid as it was read")[0]
    assert study.table().index.tolist() == ["none", "MyBlock-reduction-8-my_module"]
    # The claim names the class alone, and an option at its default, which only the study knows.
    (line,) = [line for line in text.splitlines() if "| someone |" in line]
    assert "**impossible**" in line


def test_all_other_kinds_and_a_layer_of_timm_train_too(whole: StudyResult):
    assert whole.failed == ()
    (record,) = whole.records.values()
    assert set(record.targets) == {"my_parts"}
    assert record.environment["timm"]  # its version stands in the record, as for models of timm
    assert record.sizes["val"] > 400
    assert record.cost["attention_parameters"] > 0


def test_another_process_in_another_folder_reports_and_opens_them(
    study: StudyResult, whole: StudyResult, folder: Path, tmp_path: Path
):
    record = row(study, BLOCK_ROW)
    Image.new("L", (8, 8), 128).save(tmp_path / "one.png")
    code = f"""
import sys, torch, harness
from pathlib import Path
from harness import api
from harness.store import Store
runs, registry = {str(runs(folder))!r}, api.load_registry()
api.build_report('foreign', Store(Path(runs)), Path('again'), registry)
assert 'my_module' not in sys.modules  # a report imports no class, unless the task is one
api.build_report('whole', Store(Path(runs)), Path('again'), registry)
assert 'my_parts' in sys.modules
api.compare('whole', 'whole', runs=runs)
for id in {[record.id, *whole.records]}:
    model, trial = harness.load_trial(id, runs=runs)
    kinds = {{type(m).__name__ for n, m in model.named_modules() if n.endswith('.attention')}}
    assert kinds == ({{'MyBlock'}} if id == {record.id!r} else {{'TimmAttention'}}), kinds
    torch.save(model({{'inputs': torch.ones(2, 1, 8, 8)}})['logits'], id)
api.export({record.id!r}, 'safetensors', 'm.safetensors', runs=runs)
found = api.predict({record.id!r}, 'one.png', 'out', runs=runs, device='cpu')
assert not found.failures, found.failures
"""
    done = elsewhere(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert BLOCK_ROW.replace("_", r"\_") in (tmp_path / "again" / "foreign" / "report.md").read_text()
    assert (tmp_path / "m.safetensors").exists()
    for trial_id in (record.id, *whole.records):
        model, _ = harness.load_trial(trial_id, runs=runs(folder))
        assert torch.equal(torch.load(tmp_path / trial_id), model({"inputs": torch.ones(2, 1, 8, 8)})["logits"])


def test_a_module_that_is_gone_is_named_and_found_again_through_the_path(
    study: StudyResult, folder: Path, tmp_path: Path
):
    record = row(study, BLOCK_ROW)
    hidden = folder.with_name("moved")
    code = f"""
import sys, harness
from harness.errors import ConfigError
try:
    harness.load_trial({record.id!r}, runs={str(runs(folder))!r})
except ConfigError as error:
    print(error)
else:
    raise SystemExit('it was found')
sys.path.append({str(hidden)!r})
harness.load_trial({record.id!r}, runs={str(runs(folder))!r})
"""
    folder.rename(hidden)
    try:
        done = elsewhere(code, tmp_path)
    finally:
        hidden.rename(folder)
    assert done.returncode == 0, done.stderr
    assert f"module 'my_module', which this trial was trained with, is not found; it lay in {folder}" in done.stdout
    assert "hint: put the folder that holds 'my_module' on PYTHONPATH" in done.stdout


def test_a_changed_block_is_stale_with_the_cause_and_its_older_trial_is_opened_on_request_alone(
    study: StudyResult, folder: Path, tmp_path: Path
):
    record = row(study, BLOCK_ROW)
    before = (folder / "my_helpers.py").read_text()
    plugins, store = harness.discovery.load(third_party=False), Store(runs(folder))
    try:
        (folder / "my_helpers.py").write_text(before.replace("(z)\n", "(2 * z)\n"))
        plan, _ = harness.api.prepare(folder / "grid.yaml", store, plugins, "cpu")
        both = "augment my_module:Dim, loss my_module:MyLoss changed"
        assert [plan.stale[c.key] for c in plan.study.cells] == [
            f"the source of {both}",
            f"the source of attention my_module:MyBlock, {both}",
        ]
        said = "module 'my_module' is no longer what the trial was trained with"
        for opens in (harness.load_trial, lambda id, **o: harness.api.export(id, "safetensors", tmp_path, **o)):
            with pytest.raises(ConfigError, match=said) as caught:
                opens(record.id, runs=runs(folder))
            assert "--changed" in str(caught.value.hint)
            with pytest.warns(RuntimeWarning, match=said):
                opens(record.id, runs=runs(folder), changed=True)
    finally:
        (folder / "my_helpers.py").write_text(before)
    plan, _ = harness.api.prepare(folder / "grid.yaml", store, plugins, "cpu")
    assert plan.pending == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        harness.load_trial(record.id, runs=runs(folder))


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ('loss: {target: "my_module:Bare"}', "loss 'my_module:Bare' has no `expects`"),
        ('model: {target: "my_module:Bare"}', "model 'my_module:Bare' has no `groups`, `prefix`"),
        ('dataset: {target: "my_module:Bare"}', "dataset 'my_module:Bare' has no `describe`"),
        ('task: {target: "my_module:Bare"}', "task 'my_module:Bare' has no `metrics`"),
    ],
)
def test_a_class_without_the_contract_of_its_kind_is_a_mistake_before_anything_trains(
    folder: Path, tmp_path: Path, part: str, what: str
):
    lines = {"dataset": "dataset: digits", "model": "model: resnet20", part.partition(":")[0]: part}
    grid = folder / "wrong.yaml"
    grid.write_text("study: wrong\ntrain: {epochs: 1}\n" + "".join(f"{line}\n" for line in lines.values()))
    with pytest.raises(ConfigError) as caught:
        harness.ablate(grid, runs=tmp_path / "runs", reports=tmp_path, workers=1)
    assert what in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_a_store_names_within_itself_is_not_used(tmp_path: Path):
    inside = tmp_path / "runs" / "code"
    inside.mkdir(parents=True)
    (inside / "my_trap.py").write_text("raise SystemExit('it ran')\n")
    link = tmp_path / "link"
    link.symlink_to(inside)
    for place in (inside, link, Path("runs/code")):
        with pytest.raises(ConfigError, match="module 'my_trap', which this trial was trained with, is not found"):
            foreign.recall(["my_trap:Block"], {"my_trap": "0"}, {"my_trap": str(place)}, tmp_path / "runs")


@pytest.mark.parametrize("kind", ["attention", "model", "of", "task"])
def test_code_of_a_store_is_not_run_where_python_would_find_it(
    study: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """`python -m harness` in the folder that holds the store: `runs.code.my_trap` is a module then."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    store, ran = Store(tmp_path / "theirs"), tmp_path / "ran"
    (store.root / "code").mkdir(parents=True)
    (store.root / "code" / "my_trap.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Block:\n    pass\n")
    trap = Choice("theirs.code.my_trap:Block")
    first = row(study, "none")
    changes = {"attention": Choice.of("identity_gate", of=trap)} if kind == "of" else {kind: trap}
    trial = replace(first.trial, config=replace(first.trial.config, **changes))
    record = replace(first, id=trial.id, trial=trial)
    if kind != "task":
        store.write_record(record)
    cell = replace(study.study.cells[0], trials=(trial,))
    store.write_study(replace(study.study, name="theirs", cells=(cell,), claims=()))

    def opened() -> None:
        if kind == "task":
            harness.api.build_report("theirs", store, tmp_path / "reports", harness.load_registry())
        else:
            harness.load_trial(record.id, runs=store.root)

    with pytest.raises(ConfigError, match=r"module 'theirs\.code\.my_trap' lies in the store"):
        opened()
    assert not ran.exists()


def test_a_store_cannot_have_a_function_called_in_place_of_a_task(study: StudyResult, tmp_path: Path):
    """A reader of pickles runs what the pickle says, so it must not even be called."""
    ran, hidden, store = tmp_path / "ran", tmp_path / "x.pkl", Store(tmp_path / "runs")
    hidden.write_bytes(b"cos\nmkdir\n(V" + str(ran).encode() + b"\ntR.")
    task = Choice.of("pandas:read_pickle", filepath_or_buffer=str(hidden))
    first = study.study.cells[0]
    config = replace(first.trials[0].config, task=task)
    cell = replace(first, trials=(replace(first.trials[0], config=config),))
    store.write_study(replace(study.study, name="theirs", cells=(cell,), claims=()))
    with pytest.raises(ConfigError, match="task 'pandas:read_pickle' has no `metrics`"):
        harness.api.build_report("theirs", store, tmp_path / "reports", harness.load_registry())
    assert not ran.exists()
    pickle.loads(hidden.read_bytes())
    assert ran.is_dir(), "called, it would have run"


def test_a_record_cannot_name_what_python_itself_brings(study: StudyResult, folder: Path):
    record = row(study, "none")
    config = replace(record.trial.config, task=Choice.of("subprocess:Popen", args="true"))
    cell = replace(study.study.cells[0], trials=(replace(record.trial, config=config),))
    with pytest.raises(ConfigError, match="module 'subprocess' is Python's own"):
        planning.task_of(replace(study.study, cells=(cell,)), harness.load_registry(third_party=False))
