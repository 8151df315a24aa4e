"""Which names a package can have, and what follows from one."""

from __future__ import annotations

import re

import pytest

from harness import HarnessError
from harness.discovery import load
from harness.registry import Registry
from harness.scaffold import KINDS, Names, names_for


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load(third_party=False).registry


def test_all_names_follow_from_one(registry: Registry):
    names = names_for("attention", "my_block2", registry)
    assert names.package == "harness_my_block2"
    assert names.distribution == "harness-my-block2"
    assert names.target == "harness_my_block2.block:MyBlock2Attention"


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("loss", "l1_loss", "L1Loss"),
        ("loss", "l1", "L1Loss"),
        ("attention", "tensor", "TensorAttention"),
        ("loss", "none", "NoneLoss"),
        ("task", "f", "FTask"),
        ("model", "model", "Model"),
    ],
)
def test_a_class_is_called_by_name_and_kind(kind: str, name: str, expected: str):
    assert Names(kind, name).cls == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MyBlock", "my_block"),
        ("my-block", "my_block"),
        ("my block", "my_block"),
        ("my__block", "my_block"),
        ("block_", "block"),
        ("_block", "block"),
        ("2nd_block", "nd_block"),
        ("größe", "my_block"),
        ("", "my_block"),
        ("..", "my_block"),
        ("../up", "up"),
        ("a/b", "a_b"),
        ("a\nb", "a_b"),
        ("CLASS", "my_block"),
        ("x" * 31, "my_block"),
        ("{{ n }}", "n"),
        ('a"; import os', "a_import_os"),
    ],
)
def test_a_malformed_name_is_refused_with_one_that_would_do(registry: Registry, name: str, hint: str):
    with pytest.raises(HarnessError, match="small letters, digits and single underscores") as error:
        names_for("attention", name, registry)
    assert error.value.hint == f"for instance '{hint}'"
    assert names_for("attention", hint, registry).name == hint


@pytest.mark.parametrize("name", ["class", "lambda", "async"])
def test_a_keyword_is_refused(registry: Registry, name: str):
    with pytest.raises(HarnessError, match="a keyword of Python"):
        names_for("loss", name, registry)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("attention", "se"), ("model", "resnet20"), ("dataset", "digits"), ("loss", "bce"), ("task", "keyframes")],
)
def test_a_taken_name_is_refused_with_its_owner(registry: Registry, kind: str, name: str):
    with pytest.raises(HarnessError, match=rf"{kind} '{name}' is taken: ablation-harness \S+ registers it"):
        names_for(kind, name, registry)


@pytest.mark.parametrize("name", ["attention", "models", "datasets", "losses"])
def test_a_package_that_ships_is_not_hidden(registry: Registry, name: str):
    with pytest.raises(HarnessError, match=f"there is a package 'harness_{name}' already"):
        names_for("attention", name, registry)


def test_a_name_of_another_kind_is_free(registry: Registry):
    assert names_for("loss", "se", registry).distribution == "harness-se"


def test_a_kind_without_template_is_refused(registry: Registry):
    with pytest.raises(HarnessError, match="no template for kind 'optimizer'"):
        names_for("optimizer", "my_block", registry)
    assert set(KINDS) == {"attention", "model", "dataset", "loss", "task"}


def test_the_longest_name_stays_within_the_lines(registry: Registry):
    from harness.scaffold.writing import render

    for kind in KINDS:
        files = render(names_for(kind, "x" * 30, registry))
        for path, text in files.items():
            if path.endswith((".py", ".toml", ".yaml")):
                long = [line for line in text.splitlines() if len(line) > 120]
                assert not long, (path, long)
                assert not re.search(r"[ \t]$", text, re.M), path
