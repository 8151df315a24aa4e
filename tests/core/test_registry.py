"""The registry: lazy targets, options read from signatures, suggestions, clashes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.discovery import load
from harness.errors import ClashError, ConfigError, UnknownName
from harness.registry import Registry, fits


@pytest.fixture
def registry() -> Registry:
    return load(third_party=False).registry


def test_adding_a_component_does_not_import_its_target():
    registry = Registry("someone")
    registry.add("attention", "lazy", "there_is_no_such_module:Block", summary="never imported")
    assert registry.names("attention") == ("lazy",)
    with pytest.raises(
        ConfigError, match=r"attention 'lazy' of someone cannot be loaded from 'there_is_no_such_module"
    ) as caught:
        registry.get("attention", "lazy").load()
    assert caught.value.hint == "mend the spelling of 'there_is_no_such_module:Block' in harness_register"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import there_is_no_such\n",
            "ModuleNotFoundError: No module named 'there_is_no_such' (harness_far/deep.py:1)",
        ),
        ("import json\n\njson.loads('x')\n", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("def f(:\n", "(harness_far/deep.py:1)"),
    ],
)
def test_an_import_that_fails_is_told_with_the_line_of_the_plugin_wherever_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
):
    package = tmp_path / "site-packages" / "harness_far"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "block.py").write_text("from .deep import Block\n")
    (package / "deep.py").write_text(text)
    monkeypatch.syspath_prepend(str(package.parent))
    registry = Registry("harness-far 1.0")
    registry.add("attention", "far", "harness_far.block:Block")
    with pytest.raises(ConfigError) as caught:
        registry.get("attention", "far").load()
    for name in [n for n in sys.modules if n.startswith("harness_far")]:
        del sys.modules[name]
    assert said in caught.value.message
    assert caught.value.message.endswith(f"(harness_far/deep.py:{text.count(chr(10))})")
    lost = "there_is" in text
    assert caught.value.hint == ("install 'there_is_no_such'" if lost else "mend that line, or uninstall harness-far")


def test_an_unknown_name_gets_a_suggestion(registry: Registry):
    with pytest.raises(UnknownName) as caught:
        registry.get("attention", "ecaa")
    assert caught.value.message == "unknown attention 'ecaa'"
    assert caught.value.hint == "did you mean 'eca'?"


def test_a_name_of_another_kind_is_said_to_be_one(registry: Registry):
    with pytest.raises(UnknownName) as caught:
        registry.get("attention", "digits")
    assert caught.value.hint == "'digits' is of kind dataset"


def test_the_hint_mentions_plugins_that_failed(registry: Registry):
    registry.failures = 2
    with pytest.raises(UnknownName, match="2 plugins failed to load: see `harness doctor`"):
        registry.get("attention", "nothing_like_it")


def test_options_are_the_targets_keyword_parameters_with_types_and_defaults(registry: Registry):
    options = {o.name: o for o in registry.get("attention", "se").options()}
    assert options["reduction"].default == 16
    assert not options["reduction"].required
    assert "channels" not in options
    assert registry.get("model", "timm").options()[0].required


def test_wrong_options_are_refused_with_the_component_named(registry: Registry):
    with pytest.raises(ConfigError, match="attention 'se' has no option 'reductoin'") as caught:
        registry.build("attention", "se", 16, reductoin=4)
    assert caught.value.hint == "did you mean 'reduction'?"
    with pytest.raises(ConfigError, match="option 'reduction' is '4', which is no") as caught:
        registry.build("attention", "se", 16, reduction="4")
    assert caught.value.hint == "it stands in quotes, so it is text"
    with pytest.raises(ConfigError, match="model 'timm' needs the option 'arch'"):
        registry.build("model", "timm", None)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, float, True),
        (True, float, False),
        (True, int, False),
        (1.5, int, False),
        ("a", str, True),
        (None, float | None, True),
        (None, float, False),
        ((1, 2), tuple[int, ...], True),
        ((1, "b"), tuple[int, ...], False),
        ((0.9, 0.99), tuple[float, float], True),
        ((0.9,), tuple[float, float], False),
    ],
)
def test_values_fit_annotations_as_a_grid_writes_them(value: object, annotation: object, expected: bool):
    assert fits(value, annotation) is expected


def test_a_clash_names_both_providers_and_merges_nothing():
    main, staged = Registry("first 1.0"), Registry("second 2.0")
    main.add("attention", "mine", "a.b:C")
    staged.add("attention", "new", "a.b:C")
    staged.add("attention", "mine", "x.y:Z")
    with pytest.raises(ClashError, match=r"'mine' is registered by both first 1\.0 and second 2\.0"):
        main.merge(staged)
    assert main.names("attention") == ("mine",)


@pytest.mark.parametrize(
    ("kind", "name", "target", "message"),
    [
        ("attenion", "a", "m:C", "unknown kind 'attenion'"),
        ("attention", "a b", "m:C", "a name is letters"),
        ("attention", "a", "m.C", "not of the form"),
    ],
)
def test_malformed_declarations_are_refused(kind: str, name: str, target: str, message: str):
    with pytest.raises(ConfigError, match=message):
        Registry("x").add(kind, name, target)


def test_every_built_in_has_a_summary_and_loads(registry: Registry):
    for component in registry.components():
        assert component.summary, f"{component.kind} {component.name}"
        component.options()


def test_listing_everything_imports_no_torch():
    code = (
        "import sys; from harness.discovery import load; "
        "names = load(third_party=False).registry.components(); "
        "assert len(names) > 20; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
