from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.data import unpack
from harness.errors import DataError


def tar_of(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, body in entries:
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return path


def link(name: str, to: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info, b""


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_an_archive_is_unpacked(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.mkdir("d")
            packed.writestr("d/one", b"1")
            packed.writestr("./two", b"22")
    else:
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        tar_of(archive, (folder, b""), (tarfile.TarInfo("d/one"), b"1"), (tarfile.TarInfo("./two"), b"22"))
    found = unpack(archive, tmp_path / "out")
    assert [p.relative_to(tmp_path / "out").as_posix() for p in found] == ["d/one", "two"]
    assert [p.read_bytes() for p in found] == [b"1", b"22"]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == ["d", "one", "two"]


@pytest.mark.parametrize("name", ["../up", "/abs", "a/../../up", "a\\..\\up", "C:x"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_entry_that_leaves_the_folder_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    archive = tmp_path / "a"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(zipfile.ZipInfo(name), b"x")
    else:
        tar_of(archive, (tarfile.TarInfo(name), b"x"))
    with pytest.raises(DataError, match="outside"):
        unpack(archive, tmp_path / "in" / "out")
    assert not (tmp_path / "up").exists()
    assert not (tmp_path / "in" / "up").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", link("l", "/etc", kind), (tarfile.TarInfo("l/x"), b"x"))
    with pytest.raises(DataError, match="link or no plain file"):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("l")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, "/etc")
    with pytest.raises(DataError, match="link or no plain file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_link_that_already_lies_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="outside"):
        unpack(tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("d/x"), b"x")), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_more_bytes_than_the_limit_are_refused_and_no_part_is_left(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("x"), bytes(3_000_000)))
    assert archive.stat().st_size < 10_000
    with pytest.raises(DataError, match="holds more than 2,000,000 bytes"):
        unpack(archive, tmp_path / "out", limit=2_000_000)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_header_of_absurd_size_is_not_read_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 50_000_000
    with gzip.open(tmp_path / "a.tar.gz", "wb") as stream:
        stream.write(info.tobuf() + bytes(50_000_000))
    with pytest.raises(DataError, match="50,000,000"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("x"), b"1"), (tarfile.TarInfo("./x"), b"2"))
    with pytest.raises(DataError, match="twice"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_archive_is_named(tmp_path: Path, keep: int) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("x"), bytes(range(256)) * 100))
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"a\.tar\.gz.*damaged"):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_zip_with_a_wrong_checksum_is_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("x", b"hello world")
    data = (tmp_path / "a.zip").read_bytes().replace(b"hello world", b"hallo world")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
