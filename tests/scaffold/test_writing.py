"""What is written, and that nothing is written over."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from scaffold import fresh

from harness import HarnessError
from harness.discovery import load
from harness.registry import Registry
from harness.scaffold import KINDS, create, writing
from harness.scaffold.naming import Names

ROOT = Path(__file__).parents[2]
REGISTRY = load(third_party=False).registry
NAMES = ("my_thing", "none", "f", "tensor", "nn", "torch", "harness", "any")
"""Names that would hide something, were classes and modules called by them alone."""


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_complete(tmp_path: Path, kind: str):
    package = create(kind, "my_thing", tmp_path / "new" / "folder", REGISTRY)
    assert package.folder == tmp_path / "new" / "folder"
    assert files(package.folder) == set(package.files)
    assert set(package.files) == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
        "harness_my_thing/__init__.py",
        f"harness_my_thing/{KINDS[kind].module}.py",
        "harness_my_thing/py.typed",
        "tests/test_my_thing.py",
        "my_thing.yaml",
    }
    project = tomllib.loads((package.folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "harness-my-thing"
    assert project["entry-points"] == {"harness": {"my_thing": "harness_my_thing"}}
    assert project["dependencies"] == ["ablation-harness"]
    assert [p.name for p in package.folder.parent.iterdir()] == ["folder"], "nothing is left beside it"


@pytest.mark.parametrize("kind", KINDS)
def test_the_grid_has_four_lines_names_the_component_and_can_end_in_a_verdict(kind: str):
    text = writing.render(Names(kind, "my_thing"))["my_thing.yaml"]
    assert len(text.splitlines()) == 4
    grid = yaml.safe_load(text)
    assert "my_thing" in grid["axes"][kind]
    assert grid["seeds"] >= 3, "with one seed there is no interval, and with two hardly one"
    assert any(len(rows) > 1 for rows in grid["axes"].values()), "something to compare with"
    if kind == "attention":
        assert grid["axes"]["attention"] == ["none", "se", "my_thing"], "is it better than what everybody has?"


@pytest.mark.parametrize("kind", KINDS)
def test_the_module_says_source_and_difference_and_every_class_says_shapes(kind: str):
    names = Names(kind, "my_thing")
    tree = ast.parse(writing.render(names)[f"{names.package}/{names.module}.py"])
    head = ast.get_docstring(tree) or ""
    assert "Source: " in head
    assert "Differs: " in head
    (cls,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == names.cls]
    told = ast.get_docstring(cls) or ""
    assert "[B" in told
    assert "Source: " in told
    assert "Raises: " in told


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_name_hides_what_the_code_uses(kind: str, name: str):
    names = Names(kind, name)
    rendered = writing.render(names)
    for path, text in rendered.items():
        assert "{{" not in text
        assert "{%" not in text
        if path.endswith(".py"):
            compile(text, path, "exec")
    tree = ast.parse(rendered[f"{names.package}/{names.module}.py"])
    imported = {
        a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom | ast.Import) for a in n.names
    }
    defined = [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    assert names.cls in defined
    assert not imported & set(defined)
    assert len(defined) == len(set(defined))


def test_the_entry_module_imports_no_torch(tmp_path: Path):
    for kind in KINDS:
        folder = create(kind, f"my_{kind}_x", tmp_path / kind, REGISTRY).folder
        code = f"import sys, harness_my_{kind}_x; assert not {{'torch', 'numpy'}} & set(sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {[str(folder), *sys.path]!r}; {code}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path):
    create("loss", "my_thing", tmp_path / "harness-my-thing", REGISTRY)
    mine = tmp_path / "harness-my-thing" / "harness_my_thing" / "loss.py"
    mine.write_text("my own work\n")
    with pytest.raises(HarnessError, match="is there and has files in it; nothing was written"):
        create("loss", "my_thing", tmp_path / "harness-my-thing", REGISTRY)
    assert mine.read_text() == "my own work\n"


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    package = create("loss", "my_other", Path("."), REGISTRY)
    assert files(tmp_path / "mine") == set(package.files)
    (tmp_path / "harness-my-thing").mkdir()
    assert files(create("task", "my_thing", tmp_path / "harness-my-thing", REGISTRY).folder)


def test_a_file_or_a_link_in_its_place_is_not_replaced(tmp_path: Path):
    place = tmp_path / "harness-my-thing"
    place.write_text("a file\n")
    with pytest.raises(HarnessError, match="is there and is no folder"):
        create("model", "my_thing", tmp_path / "harness-my-thing", REGISTRY)
    assert place.read_text() == "a file\n"
    place.unlink()
    place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(HarnessError, match="is there and is no folder"):
        create("model", "my_thing", tmp_path / "harness-my-thing", REGISTRY)
    place.unlink()
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HarnessError, match="is there and is no folder"):
        create("model", "my_thing", tmp_path / "harness-my-thing", REGISTRY)
    assert place.is_symlink()
    assert not files(tmp_path)


def test_an_out_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "out").write_text("a file\n")
    with pytest.raises(HarnessError, match="is there and is no folder"):
        create("model", "my_thing", tmp_path / "out", REGISTRY)
    with pytest.raises(HarnessError, match="cannot write"):
        create("model", "my_thing", tmp_path / "out" / "below", REGISTRY)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real, count = Path.write_text, 0

    def full(self: Path, *args: object, **options: object) -> int:
        nonlocal count
        count += 1
        if count == 5:
            raise OSError(28, "No space left on device")
        return real(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(HarnessError, match=r"cannot write .*No space left on device"):
        create("dataset", "my_thing", tmp_path / "harness-my-thing", REGISTRY)
    assert not list(tmp_path.iterdir())


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path):
    (tmp_path / "plain").mkdir()
    folder = create("loss", "my_thing", tmp_path / "harness-my-thing", REGISTRY).folder
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_name_that_a_plugin_has_is_refused(tmp_path: Path):
    registry = Registry("harness-other 1.0")
    registry.add("loss", "my_thing", "harness_other:Loss")
    with pytest.raises(HarnessError, match=r"is taken: harness-other 1\.0 registers it"):
        create("loss", "my_thing", tmp_path / "harness-my-thing", registry)
    assert not list(tmp_path.iterdir())


def test_the_templates_are_in_the_programs_wheel(tmp_path: Path):
    with zipfile.ZipFile(fresh.wheel(ROOT, tmp_path)) as archive:
        packed = {n.removeprefix("harness/scaffold/templates/") for n in archive.namelist() if n.endswith(".j2")}
    there = files(ROOT / "harness" / "scaffold" / "templates")
    assert len(there) >= 5 * 3
    assert there <= packed


def test_ruff_finds_nothing_in_what_is_generated(tmp_path: Path):
    pytest.importorskip("ruff", reason="part of the extra `lint`")
    for kind in KINDS:
        create(kind, f"my_{kind}_x", tmp_path / kind, REGISTRY)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_mypy_finds_nothing_in_what_is_generated_and_in_the_example(tmp_path: Path):
    pytest.importorskip("mypy", reason="part of the extra `lint`")
    folders = [create(kind, f"my_{kind}_x", tmp_path / kind, REGISTRY).folder for kind in KINDS]
    folders.append(ROOT / "examples" / "harness-triplet")
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nstrict = true\n[mypy-harness.*]\nfollow_imports = silent\n")
    modules = [str(p) for folder in folders for p in sorted(folder.rglob("*.py"))]
    assert len(modules) == 3 * len(folders)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(settings),
            "--cache-dir",
            str(tmp_path / "cache"),
            *modules,
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, [ROOT, *folders]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
