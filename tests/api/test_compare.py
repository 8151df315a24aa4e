"""Two studies side by side: made-up records for the arithmetic, and two small studies that were really run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from harness.cli import group
from harness.comparing import Comparison, Side, compare
from harness.contracts import Metric
from harness.errors import ConfigError, StoreError
from harness.latency import measure_latency
from harness.stats import paired_difference
from harness.store import Store
from harness.trial import Provenance, Record, Study, Trial

TOP1 = Metric("top1", "%", "higher", "share of images whose most likely class is the true one")
GRID = {
    "study": "short",
    "dataset": "digits",
    "model": "resnet20",
    "train": {"epochs": 1, "batch_size": 256},
    "seeds": 1,
    "evaluate": [],
    "axes": {"attention": ["none", "eca"]},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies in one store: `short`, `more` (another block, one row shared), `other` (another batch size)."""
    folder = tmp_path_factory.mktemp("compare")
    grids = (
        GRID,
        {**GRID, "study": "more", "axes": {"attention": ["none", "se"]}},
        {**GRID, "study": "other", "train": {"epochs": 1, "batch_size": 512}, "axes": {"attention": ["none"]}},
    )
    for grid in grids:
        harness.ablate(grid, runs=folder / "runs", reports=folder / "reports", workers=1)
    return folder / "runs"


def side(study: Study, code: str, values: dict[int, float], name: str = "made-up") -> Side:
    """The first row of a study with these seeds and results, trained by other `code`."""
    cell = study.cells[0]
    first = cell.trials[0]
    provenance = Provenance((("model resnet20", code),), 1, "data")
    trials = tuple(Trial(dataclasses.replace(first.config, seed=s), provenance) for s in values)
    records = {t.id: Record(t.id, "ok", t, metrics={"top1": v}) for t, v in zip(trials, values.values(), strict=True)}
    rows = (dataclasses.replace(cell, trials=trials),)
    return Side(dataclasses.replace(study, name=name, cells=rows), records, (TOP1,), "top1")


def only(comparison: Comparison):
    (row,) = comparison.both
    return row, row.changes["top1"]


def test_the_same_seeds_of_other_code_are_paired(runs: Path):
    study = Store(runs).study("short")
    a, b = {0: 0.90, 1: 0.91, 2: 0.93}, {0: 0.92, 1: 0.92, 2: 0.96}
    row, change = only(compare(side(study, "old", a), side(study, "new", b)))
    expected = paired_difference(b, a)
    assert change.method == "paired"
    assert (change.difference, change.low, change.high) == (expected.mean, expected.low, expected.high)
    assert change.difference == pytest.approx(0.02)
    assert row.notes == ("only code or data differ: the source of model resnet20 changed",)


def test_other_seeds_are_not_paired(runs: Path):
    from scipy import stats

    study = Store(runs).study("short")
    a, b = {0: 0.90, 1: 0.91, 2: 0.93}, {3: 0.92, 4: 0.92, 5: 0.96, 6: 0.95}
    _, change = only(compare(side(study, "same", a), side(study, "same", b)))
    found = stats.ttest_ind(list(b.values()), list(a.values()), equal_var=False).confidence_interval()
    assert change.method == "welch"
    assert (change.low, change.high) == pytest.approx((found.low, found.high))
    assert (change.a.n, change.b.n) == (3, 4)


def test_paired_means_are_over_the_common_seeds_so_that_columns_add_up(runs: Path, capsys: pytest.CaptureFixture[str]):
    from harness.cli.compare_command import _print

    study = Store(runs).study("short")
    a, b = {0: 0.90, 1: 0.92}, {0: 0.91, 1: 0.93, 2: 0.50, 3: 0.50}
    comparison = compare(side(study, "old", a), side(study, "new", b))
    row, change = only(comparison)
    assert (change.method, change.seeds, change.a.n, change.b.n) == ("paired", (0, 1), 2, 2)
    assert change.difference == pytest.approx(0.01)
    assert change.b.mean - change.a.mean == pytest.approx(change.difference)
    assert "seeds differ: 0, 1 and 0, 1, 2, 3" in row.notes
    _print(comparison)
    shown = capsys.readouterr().out
    assert "92.00 %" in shown


def test_trials_that_are_in_both_give_no_interval(runs: Path):
    study = Store(runs).study("short")
    a = {0: 0.90, 1: 0.91}
    row, change = only(compare(side(study, "same", a), side(study, "same", a)))
    assert (change.method, change.difference, change.low) == ("same trials", 0.0, None)
    assert row.notes == ()
    row, change = only(compare(side(study, "same", a), side(study, "same", {**a, 2: 0.98})))
    assert (change.method, change.low) == ("shared trials", None)
    assert "2 trials are in both" in row.notes
    row, _ = only(compare(side(study, "same", a), side(study, "same", {0: 0.5, 1: 0.91})))
    assert "the same trials have other results in the two stores" in row.notes


def test_one_seed_and_no_result_give_no_interval(runs: Path):
    study = Store(runs).study("short")
    _, change = only(compare(side(study, "old", {0: 0.9}), side(study, "new", {1: 0.8})))
    assert (change.method, change.low) == ("none", None)
    assert change.difference == pytest.approx(-0.1)
    empty = dataclasses.replace(side(study, "new", {0: 0.9}), records={})
    row, change = only(compare(side(study, "old", {0: 0.9}), empty))
    assert (change.method, change.difference) == ("none", None)
    assert "0 of 1 trials of 'made-up' are finished" in row.notes


def test_tasks_without_a_common_metric_are_refused(runs: Path):
    a = side(Store(runs).study("short"), "same", {0: 0.9})
    b = dataclasses.replace(a, metrics=(Metric("psnr", "dB", "higher", "a definition"),), select="psnr")
    with pytest.raises(ConfigError, match="have no metric in common"):
        compare(a, b)


def test_rows_of_one_study_alone_say_what_differs(runs: Path):
    found = harness.api.compare("short", "more", runs=runs)
    assert [row.a for row in found.both] == ["none"]
    assert found.both[0].changes["top1"].method == "same trials"
    assert [(r.row, r.nearest) for r in found.only_a] == [("eca", "none")]
    assert [(r.row, r.nearest) for r in found.only_b] == [("se", "none")]
    assert ("attention", "eca", "none") in [(d.key, d.own, d.other) for d in found.only_a[0].differs]


def command(*arguments: str):
    return CliRunner().invoke(group, ["compare", *arguments], obj={"third_party": True}, standalone_mode=False)


def test_the_command_prints_both_and_alone_rows_without_colour(runs: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    done = command("short", "more", "--runs", str(runs))
    assert done.exception is None, done.exception
    assert "\x1b" not in done.output
    row = next(line for line in done.output.splitlines() if line.startswith("none"))
    assert "same trials" in row
    assert "+0.00 pp" in row
    assert "only in short: 1 row" in done.output
    assert "attention: se, there none" in done.output


def test_no_row_in_common_is_said_with_the_keys_that_differ(runs: Path):
    done = command("short", "other", "--runs", str(runs), "--runs-b", str(runs))
    assert "no row is in both studies" in done.output
    row = next(line for line in done.output.splitlines() if line.startswith("none"))
    assert "train.batch_size: 256, there 512" in row


def test_an_interval_is_printed_in_points(capsys: pytest.CaptureFixture[str], runs: Path):
    from harness.cli.compare_command import _print

    study = Store(runs).study("short")
    a, b = {0: 0.90, 1: 0.91, 2: 0.93}, {0: 0.92, 1: 0.92, 2: 0.96}
    _print(compare(side(study, "old", a, "before"), side(study, "new", b, "after")))
    shown = capsys.readouterr().out
    assert "A: before" in shown
    assert "91.33 %" in shown
    assert "+2.00 [−0.48, +4.48] pp" in shown
    assert "paired, 3 seeds" in shown


def test_json_holds_every_metric(runs: Path):
    found = json.loads(command("short", "more", "--runs", str(runs), "--json").output)
    assert found["primary"] == "top1"
    assert set(found["both"][0]["changes"]) == {m["name"] for m in found["metrics"]}
    assert len(found["metrics"]) > 1
    assert found["both"][0]["changes"]["top1"]["a"]["n"] == 1


def test_an_unknown_study_names_those_that_are_known(runs: Path):
    error = command("short", "shrt", "--runs", str(runs)).exception
    assert isinstance(error, StoreError)
    assert "no study 'shrt'" in error.message
    assert error.hint == "known: more, other, short"


def test_a_study_keeps_its_cost_at_the_training_batch_and_an_older_file_is_measured_again(runs: Path):
    store, registry = Store(runs), harness.load_registry()
    kept = store.latency("short")
    assert {key: row["batch"] for key, row in kept["batched"].items()} == {"none": 256, "eca": 256}
    assert all(row["rounds"] >= 5 and row["memory"] is None for row in kept["batched"].values())
    signature = {key: value for key, value in kept["signature"].items() if key != "batches"}
    old = {key: {k: v for k, v in row.items() if k != "memory"} for key, row in kept["rows"].items()}
    store.write_latency("short", {"signature": signature, "rows": old})
    evidence = harness.api.evidence_of(store.study("short"), store, registry)
    assert evidence.latency["eca"].memory is None
    assert evidence.batched == {}
    measure_latency(store.study("short"), store, registry, "cpu")
    assert set(store.latency("short")["batched"]) == {"none", "eca"}
