"""`--json`: one document, its keys as they are documented, and nothing else on standard output."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.programs import commands, harness, plugin
from trackers.made_up import record, study, trial

from harness.store import Store

KEYS = {name: command.keys for name, command in commands() if getattr(command, "keys", None)}
NAMED = {"versions": "<library>", "changes": "<metric>"}


def strict(text: str) -> Any:
    """Raises for NaN and Infinity, which are no JSON."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def paths(plain: Any, stops: set[str], path: str = "", name: str = "") -> Iterator[str]:
    """Dotted keys of a document in the form in which they are documented."""
    if path in stops:
        yield path
    elif isinstance(plain, dict):
        for key, value in plain.items():
            shown = NAMED.get(name, key)
            yield from paths(value, stops, f"{path}.{shown}" if path else shown, key)
    elif isinstance(plain, list):
        for value in plain:
            yield from paths(value, stops, f"{path}[]")
    else:
        yield path


def check(name: str, plain: Any, absent: tuple[str, ...] = ()) -> None:
    """Every key of the document is documented; every documented one is there but for those `absent`."""
    documented = set(KEYS[name])
    found = set(paths(plain, documented))
    assert found <= documented
    assert {k for k in documented - found if not k.startswith(absent or ("\0",))} == set()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two studies that share a row; the other rows of each are its own."""
    here = Store(tmp_path / "runs")
    first = study({"none": [trial(seed=s) for s in (0, 1)], "se": [trial("se")]}, "first")
    other = study({"none": [trial(seed=s) for s in (2, 3)], "eca": [trial("eca")]}, "other")
    for one, values in ((first, (0.9, 0.8, 0.7)), (other, (0.7, 0.65, 0.6))):
        here.write_study(one)
        for t, value in zip((t for c in one.cells for t in c.trials), values, strict=True):
            here.write_record(record(t, value))
    return tmp_path


def test_four_commands_have_documented_keys():
    assert set(KEYS) >= {"harness list", "harness show", "harness compare", "harness doctor"}


def test_list(tmp_path: Path):
    done = harness(tmp_path, "--no-plugins", "list", "--json")
    found = strict(done.stdout)
    check("harness list", found, absent=("failures[]",))
    assert {"kind": "attention", "name": "se"}.items() <= next(
        c for c in found["components"] if c["name"] == "se"
    ).items()
    few = strict(harness(tmp_path, "--no-plugins", "list", "tracker", "--json").stdout)
    assert [c["name"] for c in few["components"]] == ["mlflow", "tensorboard", "wandb"]


def test_a_broken_plugin_is_in_the_document_and_its_warning_on_standard_error(tmp_path: Path):
    home = plugin(tmp_path, {"harness_other": "print('I am loud')\nraise OSError('no licence')\n"})
    listed = harness(tmp_path, "list", "attention", "--json", home=home)
    checked = harness(tmp_path, "doctor", "--json", home=home)
    assert "I am loud" in listed.stderr
    found = strict(listed.stdout)
    check("harness list", found)
    assert found["failures"][0]["error"] == "OSError: no licence (harness_other.py:2)"
    assert "warning: plugin 'other' of harness-other 1.0: OSError: no licence (harness_other.py:2)" in listed.stderr
    assert checked.returncode == 2
    found = strict(checked.stdout)
    check("harness doctor", found, absent=("components[]",))
    assert [p["name"] for p in found["plugins"] if p["error"]] == ["other"]
    assert "error: plugin 'other'" in checked.stderr


UNLOADED = """
from harness import hookimpl


@hookimpl
def harness_register(registry):
    registry.add("attention", "sound", "harness_parts:Block")
    registry.add("attention", "unsound", "harness_deep:Block")
    registry.add("loss", "misspelt", "harness_parts:Blok")
"""


def test_the_doctor_imports_what_plugins_declare(tmp_path: Path):
    parts = "def Block(channels):\n    pass\n\n\nclass Other:\n    pass\n"
    modules = {"harness_other": UNLOADED, "harness_parts": parts}
    home = plugin(tmp_path, {**modules, "harness_deep": "import json\nimport einops_of_somebody\n"})
    told = harness(tmp_path, "doctor", home=home, COLUMNS="300")
    assert told.returncode == 2
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("other ")]
    assert line.split("  ")[-1].strip() == "cannot be loaded: attention unsound, loss misspelt"
    assert (
        "error: attention 'unsound' of harness-other 1.0 cannot be loaded from 'harness_deep:Block': "
        "module 'harness_deep' cannot be imported: ModuleNotFoundError: "
        "No module named 'einops_of_somebody' (harness_deep.py:2)\n"
        " hint: install 'einops_of_somebody'\n" in told.stderr
    )
    assert "'harness_parts:Blok': module 'harness_parts' has no 'Blok'\n hint: its classes are Other" in told.stderr
    found = strict(harness(tmp_path, "doctor", "--json", home=home).stdout)
    check("harness doctor", found)
    assert [c["name"] for c in found["components"]] == ["unsound", "misspelt"]


def test_check_is_one_document_whatever_plugins_print(tmp_path: Path):
    home = plugin(tmp_path, {"harness_other": "print('I am loud')\n"})
    done = harness(tmp_path, "check", "augment", "flip", "--json", home=home)
    assert done.returncode == 0, done.stderr
    assert "I am loud" in done.stderr
    found = strict(done.stdout)
    check("harness check", found, absent=("bench[]",))
    assert [r["name"] for r in found["reports"]] == ["flip"]


@pytest.mark.parametrize(("kind", "name"), [("attention", "se"), ("dataset", "digits")])
def test_show(tmp_path: Path, kind: str, name: str):
    found = strict(harness(tmp_path, "show", kind, name, "--json").stdout)
    check("harness show", found)
    assert (found["kind"], found["name"]) == (kind, name)


def test_compare(store: Path):
    done = harness(store, "compare", "first", "other", "--json")
    assert done.returncode == 0, done.stderr
    found = strict(done.stdout)
    check("harness compare", found)
    change = found["both"][0]["changes"]["top1"]
    assert change["a"]["mean"] == pytest.approx(0.85)
    assert [r["row"] for r in found["only_a"]] == ["se"]
    here = Store(store / "runs")
    here.write_record(record(here.study("other").cells[0].trials[0], math.nan))
    done = harness(store, "compare", "first", "other", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nan, which is no finite number" in done.stderr


def test_an_option_without_a_word_in_json_is_text(tmp_path: Path):
    text = (
        "import math\nfrom harness import hookimpl\n"
        "@hookimpl\ndef harness_register(registry):\n"
        "    registry.add('loss', 'odd', 'harness_other:odd')\n"
        "def odd(*, most: float = math.inf, least: float = math.nan, kind: type = int):\n    '''Odd.'''\n"
    )
    done = harness(tmp_path, "show", "loss", "odd", "--json", home=plugin(tmp_path, {"harness_other": text}))
    assert done.returncode == 0, done.stderr
    options = {o["name"]: o["default"] for o in strict(done.stdout)["options"]}
    assert options == {"most": "inf", "least": "nan", "kind": "<class 'int'>"}


@pytest.mark.parametrize(
    "arguments",
    [["list", "atention"], ["show", "attention", "see"], ["compare", "a", "b"], ["list", "--jsn"]],
    ids=" ".join,
)
def test_errors_stay_text_on_standard_error(tmp_path: Path, arguments: list[str]):
    done = harness(tmp_path, *arguments, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()
    assert not done.stderr.startswith("{")


def test_the_fields_of_an_interval_are_the_documented_ones():
    from harness.stats import Interval

    text = KEYS["harness compare"]["both[].changes.<metric>.a"]
    assert text.partition(": ")[2] == ", ".join(f.name for f in dataclasses.fields(Interval))
