"""Broken packages, really installed beside a sound one: each is warned of with its cause, and hurts nobody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scaffold import fresh
from scaffold.fresh import Fresh

EXAMPLES = Path(__file__).parents[2] / "examples"
CAUSES = {
    "harness-missing-import": "No module named 'a_library_that_is_not_installed'",
    "harness-misspelt-hook": "harness_trial_finnished",
    "harness-name-clash": r"'se' is registered by both ablation-harness \S+ and harness-name-clash",
    "harness-triplet-again": r"'triplet' is registered by both harness-triplet 0\.1\.0 and harness-triplet-again",
}
"""Distribution and what its warning says."""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    folder = tmp_path_factory.mktemp("broken")
    made = fresh.make(folder)
    packages = [EXAMPLES / "harness-triplet", *(EXAMPLES / "broken" / name for name in CAUSES)]
    made.install(*(fresh.wheel(package, folder) for package in packages))
    return made


def test_every_broken_example_is_tried():
    assert {p.name for p in (EXAMPLES / "broken").iterdir() if p.is_dir()} == set(CAUSES)


@pytest.mark.parametrize("distribution", CAUSES)
def test_the_list_goes_on_and_names_distribution_and_cause(env: Fresh, distribution: str):
    listed = env.harness("list", "attention")
    (warning,) = [line for line in listed.stderr.splitlines() if f"of {distribution} 0.1.0: " in line]
    assert warning.startswith("warning: plugin '")
    assert re.search(CAUSES[distribution], warning)
    assert f"{distribution} " not in listed.stdout, "nothing of it is registered, not even what is sound in it"


def test_what_is_sound_is_there_and_works(env: Fresh):
    listed = env.harness("list", "attention").stdout
    assert re.search(r"triplet +three gates, .* harness-triplet 0\.1\.0", listed)
    assert re.search(r"se +gates channels .* ablation-harness", listed)
    made = (
        "import harness, torch; r = harness.load_registry(); x = torch.ones(1, 4, 3, 3);"
        "print(type(r.build('attention', 'triplet', 4)(x)).__name__, type(r.build('attention', 'se', 4)(x)).__name__)"
    )
    assert env.run("-c", made).stdout.split() == ["Tensor", "Tensor"]


def test_a_name_of_a_broken_plugin_is_told_with_a_way_on(env: Fresh):
    asked = env.harness("show", "attention", "misspelt_hook", code=2)
    assert "unknown attention 'misspelt_hook'" in asked.stderr
    assert "4 plugins failed to load: see `harness doctor`" in asked.stderr


def test_the_doctor_names_every_one_and_ends_with_2(env: Fresh):
    told = env.harness("doctor", code=2)
    for distribution, cause in CAUSES.items():
        assert re.search(rf"{distribution} 0\.1\.0 +broken: .*{cause}", told.stdout)
        assert re.search(rf"^error: plugin '\w+' of {distribution} 0\.1\.0: .*{cause}", told.stderr, re.M)
    assert re.search(r"triplet +harness-triplet 0\.1\.0 +ok", told.stdout)
    assert told.stderr.count(" hint: ") >= len(CAUSES)


def test_a_check_of_a_broken_plugin_fails_with_its_cause(env: Fresh):
    checked = env.harness("check", "harness-misspelt-hook", code=1)
    assert "harness_trial_finnished" in checked.stdout


def test_without_plugins_nothing_is_said_of_them(env: Fresh):
    quiet = env.harness("--no-plugins", "list", "attention")
    assert not quiet.stderr
    assert "triplet" not in quiet.stdout


def test_the_sound_one_can_be_taken_alone(env: Fresh):
    code = (
        "import os; os.environ['HARNESS_PLUGINS'] = 'triplet';"
        "from harness.discovery import load; p = load();"
        "print(len(p.failures), 'triplet' in p.registry.names('attention'))"
    )
    assert env.run("-c", code).stdout.split() == ["0", "True"]
