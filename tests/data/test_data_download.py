from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.data import Member, RemoteFile, download
from harness.errors import ConfigError, DataError

BODY = bytes(range(256)) * 400


@dataclass
class Server:
    """A server on this machine whose manners a test chooses; it keeps the Range headers that it was sent."""

    url: str = ""
    manner: str = "good"
    asked: list[str | None] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.manner != "no ranges" else 0
        body = BODY + b"more" if self.manner == "long" else BODY
        if self.manner == "missing":
            request.send_error(404)
            return
        if self.manner == "stale range" and wanted:
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            shown = start + 1 if self.manner == "other range" else start
            request.send_header("Content-Range", f"bytes {shown}-{len(body) - 1}/{len(body)}")
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        sent = body[start:]
        if (self.manner == "breaks off" and len(self.asked) == 1) or self.manner == "always breaks off":
            sent = sent[: len(sent) // 2]
        request.wfile.write(sent)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_address[1]}/f.bin"
        yield state
        running.shutdown()
        thread.join()


def remote(*urls: str, body: bytes = BODY) -> RemoteFile:
    return RemoteFile("f.bin", urls, len(body), f"sha256:{hashlib.sha256(body).hexdigest()}", "sub/folder")


def test_a_file_is_downloaded_whole_and_then_kept(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    (path,) = download([remote(server.url)], tmp_path, lambda *p: seen.append(p))
    assert path == tmp_path / "sub/folder/f.bin"
    assert path.read_bytes() == BODY
    assert seen[-1] == ("f.bin", len(BODY), len(BODY))
    download([remote(server.url)], tmp_path)
    assert len(server.asked) == 1


def test_a_partial_file_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "sub/folder/f.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:1000])
    (path,) = download([remote(server.url)], tmp_path)
    assert server.asked == ["bytes=1000-"]
    assert path.read_bytes() == BODY
    assert not part.exists()


def test_a_broken_connection_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.manner = "breaks off"
    (path,) = download([remote(server.url)], tmp_path)
    assert server.asked == [None, f"bytes={len(BODY) // 2}-"]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("manner", ["no ranges", "stale range"])
def test_a_server_that_cannot_go_on_is_asked_for_the_whole(server: Server, tmp_path: Path, manner: str) -> None:
    server.manner = manner
    part = tmp_path / "sub/folder/f.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:1000])
    (path,) = download([remote(server.url)], tmp_path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("size", [1000, len(BODY), len(BODY) + 7])
def test_a_partial_file_of_something_else_is_thrown_away(server: Server, tmp_path: Path, size: int) -> None:
    part = tmp_path / "sub/folder/f.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * size)
    (path,) = download([remote(server.url)], tmp_path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("missing", "answered 404"),
        ("always breaks off", "stopped after"),
        ("long", "sent more than the 102,400 bytes"),
    ],
)
def test_a_bad_answer_is_an_error_with_the_place_for_the_file(
    server: Server, tmp_path: Path, manner: str, said: str
) -> None:
    server.manner = manner
    file = remote(server.url)
    with pytest.raises(DataError, match=said) as caught:
        download([file], tmp_path)
    assert server.url in caught.value.message
    assert str(file.place(tmp_path)) in str(caught.value.hint)
    assert file.hash in str(caught.value.hint)
    assert not file.place(tmp_path).exists()


def test_another_range_than_asked_for_is_refused(server: Server, tmp_path: Path) -> None:
    server.manner = "other range"
    part = tmp_path / "sub/folder/f.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:1000])
    with pytest.raises(DataError, match="another part"):
        download([remote(server.url)], tmp_path)


def test_the_wrong_hash_is_refused_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    file = RemoteFile("f.bin", (server.url,), len(BODY), "md5:" + "0" * 32)
    with pytest.raises(DataError, match="wrong hash"):
        download([file], tmp_path)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("f.bin")] == []


def test_the_next_mirror_is_asked_when_one_fails(server: Server, tmp_path: Path) -> None:
    (path,) = download([remote("http://127.0.0.1:9/none", server.url)], tmp_path)
    assert path.read_bytes() == BODY


def test_offline_names_every_address_and_the_place(tmp_path: Path) -> None:
    file = remote("http://127.0.0.1:9/one", "http://127.0.0.1:9/two")
    with pytest.raises(DataError, match=r"cannot download 'f\.bin'.*/one.*/two") as caught:
        download([file], tmp_path)
    assert str(file.place(tmp_path)) in str(caught.value.hint)


def test_a_file_put_by_hand_is_checked(tmp_path: Path) -> None:
    file = remote()
    file.place(tmp_path).parent.mkdir(parents=True)
    file.place(tmp_path).write_bytes(BODY)
    assert download([file], tmp_path) == [file.place(tmp_path)]
    file.place(tmp_path).write_bytes(BODY[:-1] + b"x")
    with pytest.raises(DataError, match="not the official file"):
        download([file], tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../f"},
        {"name": "a/f"},
        {"name": "a\\f"},
        {"name": ""},
        {"name": ".."},
        {"folder": "../up"},
        {"folder": "/abs"},
        {"folder": "a/../../up"},
        {"folder": "C:\\x"},
        {"urls": ("file:///etc/passwd",)},
        {"urls": ("ftp://x/y",)},
        {"size": 0},
        {"hash": "md5:0"},
    ],
)
def test_a_file_that_could_leave_the_data_folder_cannot_be_described(change: dict[str, object]) -> None:
    good: dict[str, object] = {"name": "f", "urls": ("https://x/f",), "size": 1, "hash": "md5:" + "0" * 32}
    RemoteFile(**good)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        RemoteFile(**{**good, **change})  # type: ignore[arg-type]


def test_a_member_cannot_leave_its_folder() -> None:
    with pytest.raises(ConfigError, match="below the data folder"):
        Member("../x")
