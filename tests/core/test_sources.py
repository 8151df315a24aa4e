"""The digest of a component's source: blind to comments and formatting, not to code, and it follows imports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import sources
from harness.errors import ConfigError

BLOCK = '"""Paper."""\nfrom .gates import gate\n\n\ndef block(x):\n    """Doc."""\n    return gate(x)  # why\n'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "harness_sample"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "block.py").write_text(BLOCK)
    (folder / "gates.py").write_text("import json\n\n\ndef gate(x):\n    return x\n")
    (folder / "unrelated.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "harness_sample", raising=False)  # the one of the test before
    return folder


def digest() -> str:
    sources.forget()
    return sources.digest_of("harness_sample.block")


def test_comments_docstrings_and_formatting_do_not_count(package: Path):
    before = digest()
    text = '"""Another paper."""\n\nfrom .gates import gate\ndef block( x ):\n\n    # because\n    return gate( x )\n'
    (package / "block.py").write_text(text)
    assert digest() == before


def test_code_counts(package: Path):
    before = digest()
    (package / "block.py").write_text(BLOCK.replace("gate(x)", "gate(gate(x))"))
    assert digest() != before


def test_a_module_that_is_imported_counts_and_an_unrelated_one_does_not(package: Path):
    before = digest()
    (package / "unrelated.py").write_text("VALUE = 2\n")
    assert digest() == before
    (package / "gates.py").write_text("import json\n\n\ndef gate(x):\n    return -x\n")
    assert digest() != before


def test_the_entry_module_does_not_count_unless_something_in_it_is_imported(package: Path):
    (package / "block.py").write_text("from . import gates\n\n\ndef block(x):\n    return gates.gate(x)\n")
    before = digest()
    (package / "__init__.py").write_text("VALUE = 1\n")
    assert digest() == before
    (package / "block.py").write_text("from . import VALUE, gates\n\n\ndef block(x):\n    return gates.gate(x)\n")
    used = digest()
    (package / "__init__.py").write_text("VALUE = 2\n")
    assert digest() != used


def test_a_package_without_entry_module_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "harness_bare" / "inner"
    folder.mkdir(parents=True)
    (folder / "block.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = sources.digest_of("harness_bare.inner.block")
    (folder / "block.py").write_text("A = 2\n")
    sources.forget()
    assert sources.digest_of("harness_bare.inner.block") != before


def test_a_module_without_source_is_refused():
    with pytest.raises(ConfigError, match="module 'itertools' has no source file"):
        sources.digest_of("itertools")


def test_the_digest_is_the_same_in_every_version_of_python(package: Path):
    (package / "block.py").write_text("class A:\n    def f(self, *, x=None): return x\n")
    assert digest() == "f94fb20e53d21b29"


def test_other_packages_do_not_count(package: Path, tmp_path: Path):
    (tmp_path / "elsewhere.py").write_text("VALUE = 1\n")
    (package / "block.py").write_text("import elsewhere\n")
    before = digest()
    (tmp_path / "elsewhere.py").write_text("VALUE = 2\n")
    assert digest() == before
