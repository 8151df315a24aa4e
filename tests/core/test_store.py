"""The store: whole files or none, damaged ones named, one process a trial."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from core.test_trial import make

from harness.contracts import Evaluation, Figure, Items
from harness.errors import StoreError
from harness.store import Store, replacing
from harness.trial import Record


def test_a_record_is_written_and_read_back(tmp_path: Path):
    store, record = Store(tmp_path), Record(make().id, "ok", make(), metrics={"top1": 0.9})
    assert store.record(record.id) is None
    store.write_record(record)
    assert store.record(record.id) == record
    assert list(store.records()) == [record]
    assert store.find(record.id[:6]) == record


def test_items_and_figures_survive_with_text_and_ragged_rows(tmp_path: Path):
    store = Store(tmp_path)
    flat, offsets = np.arange(5.0), np.array([0, 2, 5])
    items = Items(("a", "ü"), {"loss": np.array([1.0, 2.0])}, {"scores": (flat, offsets)})
    data = {"values": np.eye(2), "rows": np.array(["cat", "<b>dog</b>"]), "columns": np.array(["x", "y"])}
    figure = Figure("k", "table", "Title", "Alt", data, compare=True)
    store.sink(make(), lambda e, v: None, lambda d, t, x: None).finish(items, [figure])
    back, (drawn,) = store.items(make().id), store.figures(make().id)
    assert back is not None
    assert back.ids == items.ids
    np.testing.assert_array_equal(back.values["loss"], items.values["loss"])
    np.testing.assert_array_equal(back.ragged["scores"][0], flat)
    assert (drawn.key, drawn.kind, drawn.compare) == ("k", "table", True)
    assert drawn.data["rows"].tolist() == ["cat", "<b>dog</b>"]


def test_odd_characters_in_ids_and_reasons_are_kept(tmp_path: Path):
    store, odd = Store(tmp_path), "name \udcff.png"
    store.write_record(Record(make().id, "failed", make(), reason=odd))
    record = store.record(make().id)
    assert record is not None
    assert record.reason == odd
    store.sink(make(), lambda e, v: None, lambda d, t, x: None).finish(Items((odd,), {"loss": np.zeros(1)}), [])
    items = store.items(make().id)
    assert items is not None
    assert items.ids == ("name \\udcff.png",)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        Store(tmp_path / "file" / "runs").write_record(Record("abc", "ok", make()))


def test_one_damaged_record_does_not_hide_the_others(tmp_path: Path):
    store, good = Store(tmp_path), Record(make().id, "ok", make())
    store.write_record(good)
    path = store.directory("abc") / "record.json"
    path.parent.mkdir()
    path.write_text("{")
    assert list(store.records()) == [good]


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path):
    target = tmp_path / "file"
    target.write_text("old")

    def write_and_fail() -> None:
        with replacing(target) as part:
            part.write_text("new")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_damaged_record_is_a_clear_error(tmp_path: Path):
    store = Store(tmp_path)
    path = store.directory("abc") / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"id": ')
    with pytest.raises(StoreError, match=r"record\.json is damaged"):
        store.record("abc")


def test_a_checkpoint_that_asks_for_code_is_refused(tmp_path: Path):
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (eval, ("1",))

    sink = Store(tmp_path).sink(make(), lambda e, v: None, lambda d, t, x: None)
    torch.save(Evil(), Store(tmp_path).directory(make().id) / "last.pt")
    with pytest.raises(StoreError, match="damaged or not a plain checkpoint"):
        sink.resume()


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\nb"])
def test_names_that_leave_the_store_are_refused(tmp_path: Path, name: str):
    with pytest.raises(StoreError, match="cannot be the name of a file"):
        Store(tmp_path).directory(name)


def test_two_processes_cannot_hold_one_trial_and_a_killed_one_frees_it(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from harness.store import Store\n"
        f"with Store(Path({str(tmp_path)!r})).lock('t') as mine:\n"
        "    print(mine, flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    with Store(tmp_path).lock("t") as mine:
        assert not mine
    other.kill()
    other.communicate()
    with Store(tmp_path).lock("t") as mine:
        assert mine


def test_an_unknown_study_lists_what_is_known(tmp_path: Path):
    with pytest.raises(StoreError, match="no study 'nothing'"):
        Store(tmp_path).study("nothing")


@pytest.mark.parametrize("of", ["trial", "study"])
def test_an_evaluation_is_written_and_read_back(tmp_path: Path, of: str):
    store = Store(tmp_path)
    trial = of == "trial"
    write, read = (
        (store.write_evaluation, store.evaluation) if trial else (store.write_study_evaluation, store.study_evaluation)
    )
    figure = Figure("k", "heatmap", "T", "A", {"values": np.eye(2), "rows": np.array(["a", "b"])})
    wanted = Evaluation(
        "gates", {"items": 5, "chosen": [1, 2]}, {"s.1": {"mean": 0.5}}, {"mean": "x"}, (figure,), ("n",)
    )
    assert read("abc", "gates") is None
    write("abc", wanted)
    found = read("abc", "gates")
    assert found is not None
    assert (found.signature, found.rows, found.definitions) == (wanted.signature, wanted.rows, wanted.definitions)
    assert found.notes == ("n",)
    np.testing.assert_array_equal(found.figures[0].data["values"], np.eye(2))
    assert read("abc", "knockout") is None
    assert read("other", "gates") is None


@pytest.mark.parametrize(("file", "content"), [("gates.json", b"[]"), ("gates.json", b"{"), ("gates.h5", b"x")])
def test_a_damaged_evaluation_is_named(tmp_path: Path, file: str, content: bytes):
    store = Store(tmp_path)
    store.write_evaluation("abc", Evaluation("gates", {}))
    (store.directory("abc") / "evaluations" / file).write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as caught:
        store.evaluation("abc", "gates")
    assert file in caught.value.message
    assert "train it again" not in (caught.value.hint or "")


def test_figures_of_a_killed_write_are_no_evaluation(tmp_path: Path):
    store = Store(tmp_path)
    store.write_evaluation("abc", Evaluation("gates", {"version": 1}))
    (store.directory("abc") / "evaluations" / "gates.json").unlink()
    assert store.evaluation("abc", "gates") is None
