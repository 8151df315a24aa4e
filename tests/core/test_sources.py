"""The digest of a component's source: blind to comments and formatting, not to code, and it follows imports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import sources

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
    sources._parse.cache_clear()
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


def test_other_packages_do_not_count():
    assert sources.digest_of("harness.tasks.classification") == sources.digest_of("harness.tasks.classification")
    assert len(sources.digest_of("harness.tasks.classification")) == 16
