from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from harness.data import cached_arrays, data_root, digest, filled_arrays, remembered, verify
from harness.errors import ConfigError, DataError


def counting(calls: list[int]):
    def build() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"x": np.arange(6, dtype=np.uint8).reshape(2, 3), "empty": np.zeros((0, 4), dtype=np.int64)}

    return build


def test_arrays_are_built_once_and_mapped_read_only() -> None:
    calls: list[int] = []
    cached_arrays("a-1", counting(calls))
    arrays = cached_arrays("a-1", counting(calls))
    assert calls == [1]
    assert isinstance(arrays["x"], np.memmap)
    assert arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["empty"].shape == (0, 4)
    with pytest.raises(ValueError, match="read-only"):
        arrays["x"][0, 0] = 1


def test_another_key_is_another_content() -> None:
    calls: list[int] = []
    cached_arrays("a-1", counting(calls))
    cached_arrays("a-2", counting(calls))
    assert calls == [1, 1]


@pytest.mark.parametrize("harm", ["cut", "changed", "gone", "index", "empty_index"])
def test_a_damaged_cache_is_rebuilt(harm: str, cache: Path) -> None:
    calls: list[int] = []
    cached_arrays("a-1", counting(calls))
    file = cache / "arrays" / "a-1" / "x.npy"
    index = file.with_name("index.json")
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "changed":
        data = bytearray(file.read_bytes())
        data[-1] ^= 255
        file.write_bytes(bytes(data))
    elif harm == "gone":
        file.unlink()
    else:
        index.write_text("[" if harm == "index" else "")
    assert cached_arrays("a-1", counting(calls))["x"].sum() == 15
    assert calls == [1, 1]
    assert sorted(p.name for p in (cache / "arrays").iterdir()) == [".a-1.lock", "a-1"]


def test_an_open_array_survives_the_rebuilding_of_its_cache(cache: Path) -> None:
    first = cached_arrays("a-1", counting([]))
    (cache / "arrays" / "a-1" / "index.json").unlink()
    cached_arrays("a-1", counting([]))
    assert first["x"].sum() == 15


def test_a_failed_build_leaves_nothing_that_counts(cache: Path) -> None:
    def fails() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_arrays("a-1", fails)
    assert [p.name for p in (cache / "arrays").iterdir()] == [".a-1.lock"]
    assert cached_arrays("a-1", counting([]))["x"].sum() == 15


BUILD = """
import os, sys, time
from pathlib import Path
import numpy as np
from harness.data import cached_arrays

def build():
    Path(sys.argv[1], f"built-{os.getpid()}").touch()
    time.sleep(float(sys.argv[2]))
    return {"x": np.arange(10)}

print(int(cached_arrays("race", build)["x"].sum()))
"""


def test_of_two_racing_processes_one_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(tmp_path), "0.5"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate(timeout=30)[0].strip() for p in both] == ["45", "45"]
    assert len(list(tmp_path.glob("built-*"))) == 1


def test_a_killed_build_is_built_again_and_cleared_away(tmp_path: Path, cache: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path), "60"])
    while not list(tmp_path.glob("built-*")):
        assert process.poll() is None
    process.kill()
    process.wait()
    assert list((cache / "arrays").glob(".race@*"))
    assert cached_arrays("race", lambda: {"x": np.arange(3)})["x"].sum() == 3
    assert not list((cache / "arrays").glob(".race@*"))


def test_stored_arrays_are_pickled_as_their_folder() -> None:
    arrays = filled_arrays("big", {"x": ((1000, 1000), "|u1")}, lambda out: out["x"].fill(3))
    text = pickle.dumps(arrays)
    assert len(text) < 1000
    again = pickle.loads(text)
    assert isinstance(again["x"], np.memmap)
    assert int(again["x"].sum()) == 3_000_000


@pytest.mark.parametrize("key", ["../a", "a/b", "", ".hidden", "a" * 300])
def test_a_key_cannot_leave_the_cache(key: str) -> None:
    with pytest.raises(ConfigError, match="no name for a cache"):
        cached_arrays(key, counting([]))


def test_arrays_of_python_objects_are_refused() -> None:
    with pytest.raises(ConfigError, match="Python objects"):
        cached_arrays("a-1", lambda: {"x": np.array([{}])})


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot make the folder") as caught:
        cached_arrays("a-1", counting([]))
    assert "HARNESS_CACHE" in str(caught.value.hint)


def test_a_digest_is_read_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    reads = []
    monkeypatch.setattr("harness.data.hashes._read", lambda *a: reads.append(a) or expected)
    assert digest(file) == digest(file) == expected
    assert len(reads) == 1
    seen = file.stat()
    file.write_bytes(b"abd")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # an edit that hides itself
    digest(file)
    assert len(reads) == 2


def test_official_hashes_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"abc")
    assert verify(file, "md5:900150983cd24fb0d6963f7d28e17f72")
    assert verify(file, "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD")
    assert not verify(file, "md5:" + "0" * 32)
    for wrong in ("abc", "md5:12", "sha1:" + "0" * 40, "md5:" + "g" * 32):
        with pytest.raises(ConfigError, match="no hash"):
            verify(file, wrong)
    with pytest.raises(DataError, match="cannot read"):
        verify(tmp_path / "none", "md5:" + "0" * 32)


@pytest.mark.parametrize("damage", ["", "[]", "{}", "null", '{"name": "n", "stamp": "1", "value": 5}'])
def test_damaged_memory_is_no_memory(cache: Path, damage: str) -> None:
    remembered("n", "1", lambda: "old")
    (file,) = (cache / "hashes").iterdir()
    file.write_text(damage)
    assert remembered("n", "1", lambda: "new") == "new"


def test_memory_that_cannot_be_written_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    assert [remembered("n", "1", lambda v=v: v) for v in ("a", "b")] == ["a", "b"]


def test_the_data_folder_is_the_variable_or_the_platforms_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", "/some/where")
    assert data_root() == Path("/some/where").absolute()
    monkeypatch.delenv("HARNESS_DATA")
    assert "ablation-harness" in data_root().parts


def test_importing_the_helpers_imports_no_torch() -> None:
    code = textwrap.dedent("""
        import sys
        import harness.data, harness_datasets, harness_datasets.cifar, harness_datasets.mnist, harness_datasets.digits
        import harness_datasets.image_folder
        print([m for m in ("torch", "sklearn", "PIL", "torchvision") if m in sys.modules])
    """)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
