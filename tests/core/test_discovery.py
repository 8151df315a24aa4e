"""Third-party plugins: found through entry points, isolated when broken, refused whole when they clash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import discovery
from harness.discovery import Plugins

SOUND = """
from harness import hookimpl

@hookimpl
def harness_register(registry):
    registry.add("attention", "{name}", "{module}:Block", summary="a block from outside")
"""


def install(folder: Path, distribution: str, module: str, text: str) -> None:
    """Lay a distribution out as pip would: a module and its metadata with an entry point."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[harness]\n{module} = {module}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def failures(plugins: Plugins) -> dict[str, str]:
    return {p.distribution: p.error for p in plugins.failures}


def test_a_third_party_block_is_found_through_its_entry_point(site: Path):
    install(site, "harness-good", "harness_good", SOUND.format(name="good", module="harness_good"))
    plugins = discovery.load()
    component = plugins.registry.get("attention", "good")
    assert component.provider == "harness-good 1.0"
    assert not plugins.failures


def test_a_plugin_that_cannot_be_imported_is_named_and_hurts_nobody(site: Path):
    install(site, "harness-broken", "harness_broken", "import a_module_that_is_not_there\n")
    install(site, "harness-fine", "harness_fine", SOUND.format(name="fine", module="harness_fine"))
    plugins = discovery.load()
    assert "a_module_that_is_not_there" in failures(plugins)["harness-broken 1.0"]
    assert "fine" in plugins.registry.names("attention")
    assert "se" in plugins.registry.names("attention")
    assert plugins.registry.failures == 1


def test_a_plugin_that_raises_while_registering_leaves_nothing_behind(site: Path):
    text = SOUND.format(name="half", module="harness_half") + "    raise RuntimeError('half way')\n"
    install(site, "harness-half", "harness_half", text)
    plugins = discovery.load()
    assert failures(plugins) == {"harness-half 1.0": "RuntimeError: half way (harness_half.py:7)"}
    assert "half" not in plugins.registry.names("attention")


def test_a_misspelt_hook_disables_that_plugin_alone(site: Path):
    text = SOUND.format(name="typo", module="harness_typo") + "\n@hookimpl\ndef harness_epoch_finnished(trial): pass\n"
    install(site, "harness-typo", "harness_typo", text)
    install(site, "harness-zzz", "harness_zzz", SOUND.format(name="later", module="harness_zzz"))
    plugins = discovery.load()
    assert "harness_epoch_finnished" in failures(plugins)["harness-typo 1.0"]
    assert "typo" not in plugins.registry.names("attention")
    assert "later" in plugins.registry.names("attention")


def test_a_wrong_hook_parameter_disables_that_plugin_alone(site: Path):
    text = "from harness import hookimpl\n@hookimpl\ndef harness_register(registri): pass\n"
    install(site, "harness-argument", "harness_argument", text)
    assert "registri" in failures(discovery.load())["harness-argument 1.0"]


def test_a_clash_is_refused_and_names_both_distributions(site: Path):
    install(site, "harness-clash", "harness_clash", SOUND.format(name="se", module="harness_clash"))
    plugins = discovery.load()
    error = failures(plugins)["harness-clash 1.0"]
    assert "'se' is registered by both ablation-harness" in error
    assert "harness-clash 1.0" in error
    assert plugins.registry.get("attention", "se").provider.startswith("ablation-harness")


def test_a_plugin_that_exits_at_import_hurts_nobody(site: Path):
    install(site, "harness-exit", "harness_exit", "import sys\nsys.exit(0)\n")
    assert failures(discovery.load()) == {"harness-exit 1.0": "SystemExit: 0 (harness_exit.py:2)"}


def test_two_distributions_may_use_one_entry_point_name(site: Path):
    install(site, "harness-first", "harness_first", SOUND.format(name="first", module="harness_first"))
    install(site, "harness-second", "harness_second", SOUND.format(name="second", module="harness_second"))
    info = site / "harness_second-1.0.dist-info" / "entry_points.txt"
    info.write_text("[harness]\nharness_first = harness_second\n")
    plugins = discovery.load()
    assert not plugins.failures
    assert {"first", "second"} <= set(plugins.registry.names("attention"))


def test_a_name_in_the_environment_that_nothing_has_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HARNESS_PLUGINS", "no_such_plugin")
    with pytest.warns(UserWarning, match="HARNESS_PLUGINS names 'no_such_plugin'"):
        discovery.load()


def test_plugins_can_be_limited_by_flag_and_by_environment(site: Path, monkeypatch: pytest.MonkeyPatch):
    install(site, "harness-one", "harness_one", SOUND.format(name="one", module="harness_one"))
    install(site, "harness-two", "harness_two", SOUND.format(name="two", module="harness_two"))
    assert "one" not in discovery.load(third_party=False).registry.names("attention")
    monkeypatch.setenv("HARNESS_PLUGINS", "harness_two")
    names = discovery.load().registry.names("attention")
    assert "two" in names
    assert "one" not in names


def test_the_command_line_survives_a_broken_plugin(site: Path):
    install(site, "harness-dead", "harness_dead", "raise SystemError('at import')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from harness.cli import main; sys.argv[1:] = ['list']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "hybrid_sequential" in done.stdout
    assert "harness-dead 1.0: SystemError: at import" in done.stderr
