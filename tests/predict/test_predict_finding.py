"""Folders that a search for images or videos gets stuck in: too deep, too long, closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.predict import find
from harness.predict.pictures import find_images


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """An image below 1,100 folders, deeper than Python's calls; taken away by hand, as shutil calls itself too."""
    (tmp_path / "top.png").touch()
    bottom = tmp_path
    made = []
    for _ in range(1100):
        bottom = bottom / "d"
        bottom.mkdir()
        made.append(bottom)
    (bottom / "x.png").touch()
    yield tmp_path
    (bottom / "x.png").unlink()
    for folder in reversed(made):
        folder.rmdir()


def test_a_deep_folder_is_searched_to_the_ground(deep: Path):
    found, failures = find_images([deep])
    assert not failures
    assert sorted(p.name for p in found) == ["top.png", "x.png"]


def test_links_of_a_video_folder_are_not_followed_when_it_is_tidied(
    runs: Path, bright: str, registry: Any, tmp_path: Path
):
    from predict.films import film

    from harness import api

    path, out = film(tmp_path / "v.mp4", seconds=2), tmp_path / "out"
    photo, taken = tmp_path / "photo.jpg", out / "v" / "keyframe_090_00m01.0s.jpg"
    photo.touch()
    taken.parent.mkdir(parents=True)
    taken.symlink_to(photo)
    (out / "v" / "keyframe_091_00m02.0s.jpg").mkdir()
    done = api.predict(bright, path, out, runs=runs, device="cpu", registry=registry)
    assert not done.failures
    assert photo.exists()
    assert not taken.is_symlink()
    assert (out / "v" / "keyframe_091_00m02.0s.jpg").is_dir()


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Path]:
    """Folders in folders whose path is longer than the system takes, beside an image."""
    (tmp_path / "top.png").touch()
    name, places = "n" * 250, [os.open(tmp_path, os.O_RDONLY)]
    for _ in range(18):
        os.mkdir(name, dir_fd=places[-1])
        places.append(os.open(name, os.O_RDONLY, dir_fd=places[-1]))
    yield tmp_path
    os.close(places.pop())
    while places:
        place = places.pop()
        os.rmdir(name, dir_fd=place)
        os.close(place)


def test_a_path_too_long_is_one_failure_and_the_others_are_done(long: Path):
    found, failures = find_images([long])
    assert [p.name for p in found] == ["top.png"]
    assert [f.error.message.rpartition(" cannot be read: ")[2] for f in failures] == ["File name too long"]


def test_a_closed_folder_is_one_failure_and_the_others_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a/1.png", "closed/2.png", "z/3.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    inner: Callable[[Any], Any] = os.scandir

    def scandir(path: Any) -> Any:  # whoever runs the tests may be allowed everything
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return inner(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found, failures = find_images([tmp_path])
    assert [p.name for p in found] == ["1.png", "3.png"]
    assert [(f.path, f.error.message) for f in failures] == [
        (tmp_path / "closed", f"folder '{tmp_path / 'closed'}' cannot be read: Permission denied")
    ]
    found, failures = find_images([tmp_path / "closed"])
    assert not found
    assert len(failures) == 1  # and not also that it has no image


@pytest.mark.parametrize(("search", "suffix"), [(find_images, "png"), (find, "mp4")])
def test_an_entry_that_cannot_be_looked_at_is_one_failure(search: Any, suffix: str, tmp_path: Path):
    (tmp_path / f"good.{suffix}").touch()
    bad = tmp_path / f"bad.{suffix}"
    bad.symlink_to("n" * 300)
    found, failures = search([tmp_path])
    assert [p.name for p in found] == [f"good.{suffix}"]
    assert [(f.path, f.error.message) for f in failures] == [(bad, f"'{bad}' cannot be read: File name too long")]
    (tmp_path / f"good.{suffix}").unlink()
    found, failures = search([tmp_path])
    assert (len(found), len(failures)) == (0, 1)
