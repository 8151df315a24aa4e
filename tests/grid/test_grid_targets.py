"""Classes that are no plugins, named in a grid: found, checked, labelled, and part of the id by their source alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from grid_components import CONTEXT, labels, registry, skips

from harness import foreign, sources
from harness.errors import GridError
from harness.grid import load
from harness.trial import Choice, Study

HEAD = "study: s\ndataset: toy\nmodel: net\ntrain: {epochs: 2}\n"
BLOCK = '''"""A block."""
from my_helpers import gate


class MyBlock:
    def __init__(self, dim, reduction: int = 16, *, mode: str = "a", extra=None):
        self.gate = gate


class Plain:
    def __init__(self, channels):
        pass


class Outer:
    class Inner(Plain):
        pass


class Swallows:
    def __init__(self, channels, width: int = 4, **rest):
        pass


class Keyword:
    def __init__(self, *, channels):
        pass


NUMBER = 3
'''
AXES = 'axes:\n  attention: [none, se, {target: "my_module:MyBlock"}]\n'


def forget() -> None:
    for name in [n for n in sys.modules if n.startswith(("my_", "other_"))]:
        del sys.modules[name]
    sources.forget()


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What a test puts on Python's path and imports is gone for the next, and what others left is gone for it."""
    before = list(sys.path)
    forget()
    yield
    sys.path[:] = before
    foreign._entered.clear()
    forget()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "study"
    here.mkdir()
    (here / "my_module.py").write_text(BLOCK)
    (here / "my_helpers.py").write_text("def gate(x):\n    return x\n")
    return here


def plan(folder: Path, rest: str) -> Study:
    path = folder / "ablations.yaml"
    path.write_text(HEAD + rest)
    return load(path, registry(), CONTEXT)


def mistakes(folder: Path, rest: str) -> list[tuple[str, str]]:
    with pytest.raises(GridError) as caught:
        plan(folder, rest)
    return [(m.message.removeprefix(f"{folder}/ablations.yaml:"), m.hint or "") for m in caught.value.mistakes]


def ids(study: Study) -> list[str]:
    return [t.id for c in study.cells for t in c.trials]


# ------------------------------------------------------------------------------------------------ what is meant


def test_a_class_beside_the_grid_is_a_row_with_a_readable_label(folder: Path):
    study = plan(folder, AXES)
    assert labels(study) == ["none", "se", "MyBlock (my_module)"]
    assert study.cells[2].key == "MyBlock-my_module"
    assert study.cells[2].trials[0].config.attention == Choice("my_module:MyBlock")
    kept = {(kind, name): dict(options) for kind, name, options in study.defaults}
    assert kept["attention", "my_module:MyBlock"] == {"reduction": 16, "mode": "a", "extra": None}
    assert {kind for kind, _ in kept} == {"task", "dataset", "model", "attention", "loss", "optimizer", "schedule"}


def test_options_are_kept_and_those_at_their_default_left_out(folder: Path):
    study = plan(folder, 'attention: {target: "my_module:MyBlock", reduction: 8, mode: a}\n')
    assert study.cells[0].trials[0].config.attention == Choice.of("my_module:MyBlock", reduction=8)
    assert labels(study) == ["MyBlock(reduction=8) (my_module)"]


def test_dotted_axes_apply_to_it_and_collapse_where_they_do_not(folder: Path):
    study = plan(folder, AXES.replace("MyBlock", "Plain") + "  attention.reduction: [4, 8]\n")
    assert labels(study) == ["none", "se, reduction=4", "se, reduction=8", "Plain (my_module)"]
    assert ("Plain (my_module)", "attention.reduction does not apply") in skips(study)
    study = plan(folder, AXES + "  attention.reduction: [4, 8]\n")
    assert labels(study)[3:] == ["MyBlock (my_module), reduction=4", "MyBlock (my_module), reduction=8"]


def test_the_class_itself_may_be_an_axis(folder: Path):
    study = plan(
        folder,
        'attention: {target: "my_module:Plain"}\n'
        'axes: {attention.target: ["my_module:Plain", "my_module:Outer.Inner"]}\n',
    )
    assert [c.trials[0].config.attention.name for c in study.cells] == ["my_module:Plain", "my_module:Outer.Inner"]


def test_two_classes_of_one_name_stay_apart(folder: Path):
    (folder / "other_module.py").write_text(BLOCK)
    study = plan(folder, 'axes: {attention: [{target: "my_module:MyBlock"}, {target: "other_module:MyBlock"}]}\n')
    assert labels(study) == ["MyBlock (my_module)", "MyBlock (other_module)"]
    assert len(set(ids(study))) == 2
    assert len({c.key for c in study.cells}) == 2


@pytest.mark.parametrize(
    "rest",
    [
        'baseline: {attention: {target: "my_module:MyBlock"}}\n',
        'exclude: [{attention: {target: "my_module:MyBlock"}}]\n',
    ],
)
def test_conditions_name_it_whatever_its_options_are(folder: Path, rest: str):
    study = plan(folder, AXES.replace('MyBlock"', 'MyBlock", reduction: 8') + rest)
    assert [c.label for c in study.cells if c.baseline] == (
        ["MyBlock(reduction=8) (my_module)"] if "base" in rest else ["none"]
    )
    assert len(study.cells) == (3 if "base" in rest else 2)


def test_losses_and_augmentations_go_by_the_class_name(folder: Path):
    (folder / "my_losses.py").write_text(
        "class Mine:\n    def __init__(self, *, weight: float = 1.0):\n        pass\n"
        "class Noise:\n    def __init__(self, p: float = 0.5):\n        pass\n"
    )
    study = plan(
        folder,
        'loss: [cross_entropy, {target: "my_losses:Mine", coefficient: 0.5}]\n'
        'augment: [{target: "my_losses:Noise"}]\n'
        "axes:\n  augment.Noise.p: [0.1, 0.2]\n  loss.Mine.weight: [1.0, 2.0]\n",
    )
    terms = study.cells[0].trials[0].config.loss
    assert [(t.key, t.coefficient) for t in terms] == [("Mine", 0.5), ("cross_entropy", 1.0)]
    assert len(study.cells) == 4
    alone = plan(folder, 'loss: {target: "my_losses:Mine", weight: 3}\n').cells[0].trials[0].config.loss
    assert [t.loss for t in alone] == [Choice.of("my_losses:Mine", weight=3)]


def test_a_loss_that_is_called_target_still_has_its_coefficient(folder: Path):
    ((message, _),) = mistakes(folder, "loss: {target: 0.5}\n")
    assert "unknown loss 'target'" in message


def test_it_stands_wherever_a_component_is_named(folder: Path):
    (folder / "my_rest.py").write_text(
        "def net(io, width: int = 3):\n    pass\n"
        "def sgd(model, lr: float = 0.1):\n    pass\n"
        "def steps(optimizer, total, per_epoch, at: int = 1):\n    pass\n"
        "class Wrap:\n    def __init__(self, channels, *, of):\n        pass\n"
    )
    grid = folder / "whole.yaml"
    grid.write_text(
        'study: s\ndataset: toy\nmodel: {target: "my_rest:net", width: 4}\n'
        'train: {epochs: 1, optimizer: {target: "my_rest:sgd", lr: 1}, schedule: {target: "my_rest:steps"}}\n'
        'controls: [{target: "my_rest:Wrap"}]\n'
        'axes: {attention: [{target: "my_module:Plain"}, {target: "my_rest:Wrap", of: {target: "my_module:Plain"}}]}\n'
    )
    study = load(grid, registry(), CONTEXT)
    plain = Choice("my_module:Plain")
    assert [c.label for c in study.cells] == ["Plain (my_module)", "Wrap(of=Plain (my_module)) (my_rest)"]
    assert study.cells[1].of == study.cells[0].key  # the control that was asked for is a row already
    config = study.cells[1].trials[0].config
    assert config.attention == Choice.of("my_rest:Wrap", of=plain)
    assert config.model == Choice.of("my_rest:net", width=4)
    stage = config.train.stages[0]
    assert (stage.optimizer, stage.schedule) == (Choice.of("my_rest:sgd", lr=1), Choice("my_rest:steps"))
    names = {name for name, _ in study.cells[1].trials[0].provenance.sources}
    assert {"attention my_module:Plain", "attention my_rest:Wrap", "optimizer my_rest:sgd"} <= names


def test_a_mapping_grid_finds_modules_on_the_path_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    grid = {"study": "s", "dataset": "toy", "model": "net", "train": {"epochs": 1}}
    grid["attention"] = {"target": "my_module:MyBlock"}
    with pytest.raises(GridError, match=r"attention\.target: module 'my_module' is not found"):
        load(grid, registry(), CONTEXT)
    monkeypatch.syspath_prepend(str(folder))
    assert labels(load(grid, registry(), CONTEXT)) == ["MyBlock (my_module)"]


def test_planning_puts_the_folder_behind_all_others_and_only_if_it_is_needed(folder: Path):
    before = list(sys.path)
    plan(folder, "attention: se\n")
    assert sys.path == before
    plan(folder, AXES)
    assert sys.path == [*before, str(folder)]


# ------------------------------------------------------------------------------------------------ the id


def test_the_id_has_the_source_and_not_the_place(folder: Path, tmp_path: Path):
    before = ids(plan(folder, AXES))
    shutil.move(folder, tmp_path / "moved")
    assert ids(plan(tmp_path / "moved", AXES)) == before
    assert sys.modules["my_module"].__file__ == str(tmp_path / "moved" / "my_module.py")


def test_comments_do_not_count_and_code_does_also_that_of_a_helper_beside_it(folder: Path):
    before = ids(plan(folder, AXES))
    (folder / "my_module.py").write_text("# because\n" + BLOCK)
    assert ids(plan(folder, AXES)) == before
    (folder / "my_module.py").write_text(BLOCK.replace("= 16", "= 12"))
    other = ids(plan(folder, AXES))
    assert other[:2] == before[:2]
    assert other[2] != before[2]
    (folder / "my_helpers.py").write_text("def gate(x):\n    return -x\n")
    assert ids(plan(folder, AXES))[2] not in (before[2], other[2])


ELSEWHERE = {
    "at the top": "import my_far\n",
    "in a function": "def gate(x):\n    from my_far import far\n    return far(x)\n",
    "through another": "import my_near\n",
    "by its name as text": "import importlib\nfar = importlib.import_module('my_far')\n",
    "by keyword": "from importlib import import_module\nfar = import_module(name='my_far')\n",
    "by __import__": "far = __import__('my_far')\n",
    "of a package": "from my_lab.inner import gates\n",
    "of a package, by a relative name": "import importlib\nx = importlib.import_module('.gates', 'my_lab.inner')\n",
    "of a package that imports it by its own name": "import my_lab.named\n",
}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path that is not the grid's."""
    lab = tmp_path / "lab"
    (lab / "my_lab" / "inner").mkdir(parents=True)
    for name in ("my_far.py", "my_lab/__init__.py", "my_lab/inner/__init__.py", "my_lab/inner/gates.py"):
        (lab / name).write_text("def far(x):\n    return x\n")
    (lab / "my_near.py").write_text("import my_far\n")
    named = "import importlib\ngates = importlib.import_module('.inner.gates', __package__)\n"
    (lab / "my_lab" / "named.py").write_text(named)
    monkeypatch.syspath_prepend(str(lab))
    return lab


@pytest.mark.parametrize("how", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_helper_of_another_folder_counts_however_it_is_imported(folder: Path, elsewhere: Path, how: str):
    (folder / "my_module.py").write_text(how + BLOCK)
    before = ids(plan(folder, AXES))
    assert ids(plan(folder, AXES)) == before
    helper = elsewhere / ("my_lab/inner/gates.py" if "my_lab" in how else "my_far.py")
    helper.write_text("def far(x):\n    return -x\n")
    after = ids(plan(folder, AXES))
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    moved = elsewhere.rename(elsewhere.with_name("moved"))
    sys.path[sys.path.index(str(elsewhere))] = str(moved)
    forget()
    assert ids(plan(folder, AXES)) == after, "where it lies does not count"


def test_the_id_is_the_same_whatever_was_imported_before(folder: Path, elsewhere: Path):
    (folder / "my_module.py").write_text(ELSEWHERE["of a package"] + BLOCK)
    alone = sources.foreign_digest("my_module") if foreign.reach("my_module", folder) is None else ""
    code = f"""
import sys
sys.path += [{str(elsewhere)!r}, {str(folder)!r}]
import my_lab.inner.gates, my_lab.named, my_far, my_module
from harness import sources
print(sources.foreign_digest('my_module'))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == alone, done.stderr


def test_a_library_and_what_python_brings_do_not_count(folder: Path):
    (folder / "my_module.py").write_text("import json, click, torch, harness.data\nfrom yaml import nodes\n" + BLOCK)
    foreign.reach("my_module", folder)
    assert set(sources.foreign_closure("my_module")) == {"my_module", "my_helpers"}


def test_the_code_of_a_plugin_counts_as_it_does_in_the_plugin_s_own_rows(folder: Path):
    (folder / "my_module.py").write_text("from harness_attention.eca import ECA\n" + BLOCK)
    foreign.reach("my_module", folder)
    assert "harness_attention.eca" in sources.foreign_closure("my_module")


@pytest.mark.parametrize(
    "call",
    [
        "importlib.import_module('my_' + NAME)",
        "importlib.import_module(NAME)",
        "__import__(NAME)",
        "importlib.import_module('.my_far', NAME)",
        "importlib.util.spec_from_file_location('my_far', NAME)",
        "runpy.run_module('my_far')",
        "exec(open('my_far.py').read())",
        "load(NAME)",
    ],
)
def test_an_import_that_no_text_names_is_told_with_its_line(folder: Path, call: str):
    (folder / "my_module.py").write_text(BLOCK)
    (folder / "my_helpers.py").write_text(
        f"import importlib\nfrom importlib import import_module as load\n\ndef gate(x):\n    return {call}\n"
    )
    with pytest.warns(RuntimeWarning, match="line 5 of module 'my_helpers': an import whose name is made"):
        plan(folder, AXES)


def test_an_edited_module_is_imported_anew_in_the_same_process(folder: Path):
    plan(folder, AXES)
    (folder / "my_module.py").write_text(BLOCK.replace("reduction: int", "squeeze: int"))
    ((message, _),) = mistakes(folder, 'attention: {target: "my_module:MyBlock", reduction: 8}\n')
    assert message.endswith("attention 'my_module:MyBlock' has no option 'reduction'")
    (folder / "my_helpers.py").write_text("def gate(x):\n    return -x\n")
    plan(folder, AXES)
    assert sys.modules["my_helpers"].gate(1) == -1


def test_two_grids_of_one_process_have_each_its_own_module(folder: Path, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "my_module.py").write_text(BLOCK.replace("= 16", "= 5"))
    first, second = plan(folder, AXES), plan(other, AXES)
    ours = ("attention", "my_module:MyBlock")
    values = [dict(d[2])["reduction"] for study in (first, second) for d in study.defaults if d[:2] == ours]
    assert values == [16, 5]
    assert ids(plan(folder, AXES)) == ids(first)


def test_a_library_module_counts_with_its_own_package_alone():
    # Not all of click: what its decorators import of the package.
    assert set(sources.foreign_closure("yaml.nodes")) == {"yaml.nodes"}
    assert sources.foreign_digest("yaml.nodes") == sources.foreign_digest("yaml.nodes")


# ------------------------------------------------------------------------------------------------ mistakes

CASES = {
    "no colon": ("my_module.MyBlock", "target 'my_module.MyBlock' has no colon", "did you mean 'my_module:MyBlock'?"),
    "no colon, no dot": ("MyBlock", "target 'MyBlock' has no colon between module and class", "my_module:MyBlock"),
    "nothing after it": ("my_module:", "target 'my_module:' is not of the form", "beside the grid"),
    "a file": ("my_module.py:MyBlock", "target 'my_module.py:MyBlock' is not", "did you mean 'my_module:MyBlock'?"),
    "a path": ("src/my_module:MyBlock", "target 'src/my_module:MyBlock' is not", "name the module as `import` does"),
    "no module": ("my_modul:MyBlock", "module 'my_modul' is not found", "put the folder that holds 'my_modul'"),
    "no class": ("my_module:MyBlok", "module 'my_module' has no 'MyBlok'", "'MyBlock'?"),
    "nothing like it": ("my_module:Foo", "module 'my_module' has no 'Foo'", "its classes are MyBlock, Plain"),
    "not callable": ("my_module:NUMBER", "attention 'my_module:NUMBER' is of type int, and cannot", "a class"),
    "python's own": ("os:system", "target 'os:system': module 'os' is Python's own", "rename your file"),
    "no channels": (
        "my_module:Keyword",
        "attention 'my_module:Keyword' takes too few",
        "number of channels comes first",
    ),
}


@pytest.mark.parametrize(("target", "message", "hint"), CASES.values(), ids=CASES)
def test_what_is_no_class_is_named_with_its_line(folder: Path, target: str, message: str, hint: str):
    ((found, told),) = mistakes(folder, f'attention:\n  target: "{target}"\n')
    assert found.startswith(f"6: attention.target: {message}")
    assert hint in told


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("import sys\n1 / 0\n", "ZeroDivisionError: division by zero (my_broken.py:2)", "mend that line"),
        ("def f(:\n", "SyntaxError: invalid syntax (my_broken.py:1)", "mend that line"),
        ("import there_is_no_such\n", "No module named 'there_is_no_such' (my_broken.py:1)", "install 'there_is_no_s"),
        ("raise SystemExit(3)\n", "SystemExit: 3 (my_broken.py:1)", "mend that line"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_the_place_in_it(
    folder: Path, text: str, message: str, hint: str
):
    (folder / "my_broken.py").write_text(text)
    ((found, told),) = mistakes(folder, 'attention: {target: "my_broken:MyBlock"}\n')
    assert found.startswith("5: attention.target: module 'my_broken' cannot be imported: ")
    assert message in found
    assert hint in told
    (folder / "my_broken.py").write_text(BLOCK)  # mended, in the same process
    assert labels(plan(folder, 'attention: {target: "my_broken:MyBlock"}\n')) == ["MyBlock (my_broken)"]


def test_name_and_target_exclude_each_other(folder: Path):
    for name in ("se", "none"):
        ((found, hint),) = mistakes(folder, f'attention: {{name: {name}, target: "my_module:MyBlock"}}\n')
        assert found.startswith("5: attention.target: 'name' and 'target' are both given")
        assert hint == "leave one of them out"


def test_a_target_that_is_no_text_is_no_class(folder: Path):
    ((found, _),) = mistakes(folder, "attention: {target: 3, reduction: 8}\n")
    assert found == "5: attention.target: '3' is no class"


def test_a_class_without_a_mapping_gets_the_form_as_a_hint(folder: Path):
    ((found, hint),) = mistakes(folder, "attention: my_module:MyBlock\n")
    assert found == "5: attention: unknown attention 'my_module:MyBlock'"
    assert hint == 'a class is named in a mapping: {target: "my_module:MyBlock"}'
    assert "my_module" not in sys.modules


def test_options_are_checked_against_the_signature(folder: Path):
    rest = 'axes:\n  attention:\n  - {target: "my_module:MyBlock", reduktion: 8}\n'
    rest += '  - {target: "my_module:MyBlock", reduction: "8"}\n  - {target: "my_module:Swallows", deep: 3}\n'
    found = mistakes(folder, rest)
    assert [m for m, _ in found] == [
        "7: axes.attention[0].reduktion: attention 'my_module:MyBlock' has no option 'reduktion'",
        "8: axes.attention[1].reduction: attention 'my_module:MyBlock': option 'reduction' is '8', which is no int",
        "9: axes.attention[2].deep: attention 'my_module:Swallows' has no option 'deep'",
    ]
    assert [h for _, h in found] == [
        "did you mean 'reduction'?",
        "it stands in quotes, so it is text",
        "it takes width",
    ]


def test_a_module_that_python_finds_elsewhere_is_not_taken_for_the_one_beside_the_grid(folder: Path):
    (folder / "click.py").write_text("class Block:\n    def __init__(self, channels):\n        pass\n")
    ((found, hint),) = mistakes(folder, 'attention: {target: "click:Block"}\n')
    assert found.startswith(f"5: attention.target: module 'click' lies in {folder}, and another one in ")
    assert hint == f"rename the one in {folder}"


def test_nothing_is_imported_to_look_a_class_up():
    component = registry().get("attention", "my_never:Block")
    assert component.provider == "module my_never"
    assert component.module == "my_never"
    assert "my_never" not in sys.modules
