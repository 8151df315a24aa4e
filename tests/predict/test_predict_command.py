"""`harness predict` as a user runs it, in processes of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from predict.films import cut, film
from predict.stored import frames, store_trial


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a store that holds one trial."""
    folder = tmp_path_factory.mktemp("place")
    store_trial(folder / "runs", frames(32, 32))
    film(folder / "one.mp4", seconds=6)
    film(folder / "two.mkv", seconds=3)
    cut(film(folder / "half.mkv", seconds=20, crf="1"), 0.5)
    (folder / "text.mp4").write_text("I am no video\n")
    (folder / "empty").mkdir()
    return folder


def trial(place: Path) -> str:
    return next((place / "runs" / "trials").iterdir()).name[:6]


def harness(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "--no-plugins", "predict", trial(place), *arguments],
        cwd=place,
        env={**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_two_videos_are_done_and_told_in_plain_lines(place: Path):
    done = harness(place, "one.mp4", "two.mkv", "--out", "good", "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "[1/2] one.mp4"
    assert lines[1].startswith("one.mp4: 2 keyframes of 12 sampled frames (")
    assert lines[2] == "  good/one/index.html"
    assert lines[3] == "[2/2] two.mkv"
    assert (place / "good" / "two" / "index.html").exists()


def test_one_bad_file_among_good_ones_is_told_and_the_code_is_1(place: Path):
    done = harness(place, "text.mp4", "half.mkv", "gone.mp4", "--out", "mixed", "--device", "cpu")
    assert done.returncode == 1
    assert "error: 'text.mp4' is damaged or no video that can be decoded" in done.stderr
    assert "error: 'gone.mp4' is not there" in done.stderr
    assert "warning: half.mkv: The file is cut off: about" in done.stderr
    assert "2 of 3 inputs failed" in done.stderr
    assert len(done.stderr.splitlines()) == 6  # with two hints; nothing comes from a decoder
    assert (place / "mixed" / "half" / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["text.mp4", "--out", "x"], "error: 'text.mp4' is damaged or no video that can be decoded"),
        (["gone.mp4", "--out", "x"], "error: 'gone.mp4' is not there\n hint: give video files, or folders of them"),
        (["empty", "--out", "x"], "error: folder 'empty' has no video in it"),
        (["one.mp4", "--out", "text.mp4"], "error: cannot make the folder 'text.mp4'"),
        (["one.mp4", "--out", "x", "--top", "0"], "Invalid value for '--top'"),
        (["one.mp4", "--out", "x", "--share", "0"], "Invalid value for '--share'"),
        (["one.mp4", "--out", "x", "--top", "2", "--share", "0.15"], "--top and --share both say how many"),
        (["one.mp4"], "Missing option '--out'"),
        (["--out", "x"], "Missing argument 'INPUT...'"),
        (["one.mp4", "--out", "x", "--device", "cuda:9"], "device 'cuda:9' is not here"),
    ],
)
def test_what_the_user_can_mend_is_one_message_and_code_2(place: Path, arguments: list[str], told: str):
    done = harness(place, *arguments)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_name_that_holds_commands_for_the_terminal_is_harmless(place: Path):
    hostile = "a\x1b]0;owned\x07\x1b[2J\u202eb\x9bc.mp4"
    done = harness(place, hostile, "--out", "x", "--device", "cpu")
    assert done.returncode == 2
    assert done.stderr.startswith("error: 'a ]0;owned  [2J b c.mp4' is not there\n hint: ")
    (place / hostile).write_text("I am no video\n")
    done = harness(place, hostile, "--out", "x", "--device", "cpu")
    assert "error: 'a ]0;owned  [2J b c.mp4' is damaged" in done.stderr
    assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(done.stdout + done.stderr)


@pytest.mark.slow
def test_in_a_terminal_a_bar_counts_the_frames(place: Path):
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "--no-plugins", "predict", trial(place), "one.mp4", "text.mp4", "--out", "t"],
        cwd=place,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm", "OMP_NUM_THREADS": "1"},
        stdout=writer,
        stderr=writer,
        close_fds=True,
    )
    os.close(writer)
    seen = b""
    while select.select([reader], [], [], 240)[0]:
        try:
            part = os.read(reader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(reader)
    assert process.wait(timeout=60) == 1
    text = seen.decode()
    assert "[1/2] one.mp4: frames scored" in text
    assert "12/12" in text
    assert "one.mp4: 2 keyframes of 12 sampled frames" in text
    assert "'text.mp4' is damaged" in text
