from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from data.summary_files import spoil, write_video

from harness.errors import DataError
from harness_datasets import _video_files
from harness_datasets._video_files import SampledFile, find, look

SIZE = (16, 16)


def opened(path: Path) -> SampledFile:
    (found,) = look([path], 2.0)
    assert isinstance(found, SampledFile)
    return found


def test_a_fault_is_remembered_of_the_bytes_that_had_it(tmp_path: Path) -> None:
    path = spoil(write_video(tmp_path / "a.mp4", 60))
    with pytest.raises(DataError, match=r"a\.mp4'") as caught:
        list(opened(path).frames(SIZE))
    assert "run again" in str(caught.value.hint)
    assert look([path], 2.0) == [caught.value.message]
    shutil.copy(path, tmp_path / "b.mp4")
    assert look([tmp_path / "b.mp4"], 2.0) == [caught.value.message]


def test_a_file_that_was_replaced_while_it_was_read_is_not_marked(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 60)
    shutil.copy(path, tmp_path / "whole.mp4")
    file = opened(path)
    spoil(path)
    with pytest.raises(DataError, match=r"a\.mp4' changed while it was read"):
        list(file.frames(SIZE))
    shutil.copy(tmp_path / "whole.mp4", path)
    assert sum(map(len, opened(path).frames(SIZE))) == len(file.sampled)


def test_another_decoder_is_given_a_new_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = spoil(write_video(tmp_path / "a.mp4", 60))
    (tmp_path / "b.mp4").write_text("no video")
    both = [spoilt, tmp_path / "b.mp4"]
    with pytest.raises(DataError):
        list(opened(spoilt).frames(SIZE))
    assert all(isinstance(found, str) for found in look(both, 2.0))
    with monkeypatch.context() as patch:
        patch.setattr(_video_files, "_decoders", lambda: "av 99, decord 99")
        assert isinstance(look([spoilt], 2.0)[0], SampledFile)
        patch.setattr(_video_files, "_decoders", lambda: "av 100, decord 99")
        patch.setattr(_video_files, "_sample", lambda path, fps: "novel")
        assert look(both, 2.0) == ["novel", "novel"]
    assert all(isinstance(found, str) and found != "novel" for found in look(both, 2.0))


def test_what_is_remembered_names_the_decoders_and_imports_none(tmp_path: Path) -> None:
    code = (
        "import json, sys; from harness_datasets import _video_files as v; told = v._decoders()\n"
        "print(json.dumps([told, sorted({'av', 'decord', 'torch'} & sys.modules.keys())]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told, imported = json.loads(done.stdout)
    assert f"av {metadata.version('av')}" in told
    assert imported == []


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "../a", ""])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "videos").mkdir()
    good = write_video(tmp_path / "videos" / "b.mp4", 4)
    shutil.copy(good, tmp_path / "a.mp4")
    assert find(tmp_path / "videos", [name, "b"]) == [None, good]
