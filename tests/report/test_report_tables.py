"""The numbers of a report are those of the records and of `stats`, and nothing is said that they do not bear."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path

import pytest
from report.evidence import make_evidence, with_problems

from harness.report import table
from harness.report.analysis import analyse, detectable
from harness.report.claimed import claims
from harness.report.comparison import comparison, main_table, notes
from harness.report.document import Bullets, Table, Text
from harness.report.evidence import Evidence
from harness.report.provenance import gaps, recipe
from harness.report.summary import headline, summary, warnings
from harness.stats import holm, mean_interval, paired_difference, verdict
from harness.trial import Choice, Record


def line(found: Table, label: str) -> list[str]:
    return next([e.text for e in row.entries] for row in found.lines if row.entries[0].text == label)


def drop(evidence: Evidence, cell: int, status: str) -> Evidence:
    """All trials of a cell failed (or, with "", were not run)."""
    records = dict(evidence.records)
    for trial in evidence.study.cells[cell].trials:
        del records[trial.id]
        if status:
            records[trial.id] = Record(trial.id, "failed", trial, reason="out of memory", traceback="Traceback: boom")
    return dataclasses.replace(evidence, records=records)


def test_the_data_frame_holds_the_statistics_of_stats():
    evidence = make_evidence()
    values = {
        cell.label: {t.config.seed: evidence.records[t.id].metrics["top1"] for t in cell.trials}
        for cell in evidence.study.cells
    }
    frame = table(evidence).set_index("row")
    interval = mean_interval(list(values["se"].values()))
    difference = paired_difference(values["se"], values["none"])

    assert frame.loc["se", "top1_mean"] == interval.mean
    assert frame.loc["se", "top1_low"] == interval.low
    assert frame.loc["se", "top1_difference"] == difference.mean
    assert frame.loc["se", "top1_difference_high"] == difference.high
    assert math.isnan(frame.loc["none", "top1_difference"])
    assert frame["top1_mean"].dtype == "float64"
    assert list(table(evidence).index) == [c.key for c in evidence.study.cells]


def test_verdicts_are_those_of_stats_after_holm_over_all_rows():
    evidence = make_evidence(seeds=6)
    analysis = analyse(evidence)
    arms = analysis.challengers
    adjusted = holm([a.differences["top1"].p for a in arms])

    for arm, p in zip(arms, adjusted, strict=True):
        assert arm.verdict == verdict(arm.differences["top1"], "higher", None, p, "%")


def test_below_five_seeds_nothing_is_called_significant_and_no_p_is_named(problems: Path):
    text = (problems / "report.md").read_text()

    assert "significant" not in text.lower()
    assert "p = " not in text
    assert "p < " not in text


def test_per_cent_is_shown_times_a_hundred_with_two_decimals_and_differences_in_points():
    analysis = analyse(make_evidence())
    found = main_table(analysis)
    se = next(a for a in analysis.arms if a.label == "se")
    mean, difference = se.intervals["top1"].mean, se.differences["top1"].mean

    assert [c.label for c in found.columns][2:5] == ["top1 (%)", "sd", "difference (pp)"]
    assert line(found, "se")[2] == f"{100 * mean:.2f}"
    assert line(found, "se")[4] == f"{100 * difference:+.2f}"


def test_one_seed_gives_a_dash_and_a_sentence_instead_of_an_interval():
    analysis = analyse(make_evidence(seeds=1))
    row = main_table(analysis).lines[1].entries

    assert row[2].sub == "–"
    assert row[3].text == "–"
    assert row[4].sub == "–"
    assert any("on one seed: no interval can be given" in w for w in warnings(analysis))
    assert {a.verdict.word for a in analysis.challengers} == {"one seed"}
    assert detectable(analysis) is None


def test_only_rows_with_a_verdict_are_marked():
    analysis = analyse(make_evidence())
    marked = {row.entries[0].text for row in main_table(analysis).lines if row.entries[0].tone}

    assert marked == {a.label for a in analysis.challengers if a.verdict.word in ("better", "worse")}


def test_predictors_without_training_stand_below_the_rows_without_an_n():
    found = main_table(analyse(make_evidence()))
    last = found.lines[-1]

    assert last.group == "floor"
    assert [e.text for e in last.entries[:3]] == ["majority", "–", "10.00"]
    assert [row.group for row in found.lines] == ["baseline", *["row"] * 4, "floor"]


def test_rows_no_better_than_a_predictor_without_training_are_named_in_the_warnings():
    evidence = make_evidence()
    assert not any("needs no training" in w for w in warnings(analyse(evidence)))
    high = {i: dataclasses.replace(r, floors={"oracle": {evidence.select: 0.999}}) for i, r in evidence.records.items()}
    (told,) = (w for w in warnings(analyse(dataclasses.replace(evidence, records=high))) if "needs no training" in w)
    assert "'oracle'" in told
    assert all(cell.label in told for cell in evidence.study.cells[:2])


def test_the_first_line_says_what_the_task_was_asked():
    evidence = make_evidence()
    asked = dataclasses.replace(evidence, defaults=lambda kind, name: {"protocol": "rollout"} if kind == "task" else {})
    assert "classification(protocol=rollout)" in headline(analyse(asked))
    assert "classification" not in headline(analyse(evidence))


def test_a_study_without_baseline_has_a_table_without_differences_and_says_why():
    evidence = make_evidence(("se", "spatial"))
    analysis = analyse(evidence)

    assert "difference (pp)" not in [c.label for c in main_table(analysis).columns]
    assert any("names no baseline" in w for w in warnings(analysis))
    assert table(evidence)["top1_mean"].notna().all()


@pytest.mark.parametrize(
    ("status", "reason"), [("failed", "3 of 3 trials failed (out of memory)"), ("", "not been run")]
)
def test_a_baseline_without_result_is_named_with_its_cause(status: str, reason: str):
    analysis = analyse(drop(make_evidence(), 0, status))

    assert analysis.baseline is None
    assert any(reason in w for w in warnings(analysis))
    assert line(main_table(analysis), "se")[2] != "–"


def test_a_row_that_failed_keeps_its_line_and_its_reason():
    analysis = analyse(drop(make_evidence(), 2, "failed"))
    section = gaps(analysis)

    assert line(main_table(analysis), "spatial")[1:4] == ["0", "–", "–"]
    assert section is not None
    text = str(section.blocks)
    assert "out of memory" in text
    assert "Traceback: boom" in text


def test_a_value_that_is_no_number_takes_the_metric_from_its_row_and_is_told():
    evidence = make_evidence()
    record = evidence.records[evidence.study.cells[1].trials[1].id]
    bad = dataclasses.replace(record, metrics={**record.metrics, "top1": math.nan})
    analysis = analyse(dataclasses.replace(evidence, records={**evidence.records, record.id: bad}))

    assert line(main_table(analysis), "se")[1:3] == ["0", "–"]
    assert any("top1 of 'se' is nan for seed 1" in w for w in warnings(analysis))


def test_skipped_failed_missing_and_stale_are_all_named(problems: Path):
    text = (problems / "report.md").read_text()

    assert "**spatial, reduction 4**: attention 'spatial' has no option 'reduction'" in text
    assert "diverged in epoch 3 at update 17 of 351" in text
    assert "Diverged: the loss is nan" in text
    assert "1 trial not run yet" in text
    assert "'spatial' is stale: the source of 'spatial' changed." in text
    assert "13 of 15 trials finished; 1 failed, 1 not run." in text


@pytest.mark.parametrize(("key", "value"), [("torch", "2.8.0"), ("device", "cuda:0"), ("threads", 2)])
def test_a_table_that_mixes_versions_devices_or_threads_says_so(key: str, value: object):
    evidence = make_evidence()
    record = evidence.records[evidence.study.cells[0].trials[0].id]
    other = dataclasses.replace(record, environment={**record.environment, key: value})
    analysis = analyse(dataclasses.replace(evidence, records={**evidence.records, record.id: other}))

    assert not warnings(analyse(evidence))
    assert any(f"different {key}: " in w and f"{value} (1 trial)" in w for w in warnings(analysis))


def test_the_split_that_chose_the_checkpoint_stands_by_the_table():
    assert any("the last epoch (12), fixed beforehand; no split chose it" in n for n in notes(analyse(make_evidence())))


def test_every_claim_gets_a_verdict_and_its_sentence():
    section = claims(analyse(with_problems()))

    assert section is not None
    verdicts = [row.entries[3].text for row in section.blocks[0].lines]
    assert verdicts == ["reproduced", "contradicted", "reproduced", "reproduced", "not comparable"]
    assert all(row.entries[4].text for row in section.blocks[0].lines)


def test_a_study_without_claims_has_no_table_of_claims():
    assert claims(analyse(make_evidence())) is None


def test_the_smallest_visible_difference_and_the_family_are_stated():
    analysis = analyse(make_evidence())
    last = summary(analysis)[-1]

    assert isinstance(last, Text)
    assert "4 comparisons with the baseline form one family" in last.text
    assert "Minimum detectable difference with 3 seeds" in last.text
    items = next(b for b in summary(analysis) if isinstance(b, Bullets))
    assert [i.label for i in items.items] == ["se", "spatial", "hybrid_sequential", "hybrid_parallel"]


def test_the_recipe_shows_defaults_and_stages_and_separates_what_rows_share():
    section = recipe(analyse(make_evidence()))
    differing, shared = section.blocks[0], section.blocks[1].blocks[0]
    heads = [c.label for c in differing.columns]

    assert "attention.reduction" in heads
    assert line(differing, "se")[heads.index("attention.reduction")] == "16"
    assert line(differing, "se")[heads.index("train.trainable parameters")] == "275,074"
    assert line(shared, "train.optimizer.weight_decay")[1] == "0.0005"
    assert line(shared, "loss.cross_entropy.label_smoothing")[1] == "0.1"


def test_records_csv_has_every_raw_value_unrounded(problems: Path):
    evidence = with_problems()
    with (problems / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    trial = evidence.study.cells[1].trials[2]
    found = {r["name"]: r for r in rows if r["trial"] == trial.id and r["what"] == "test"}

    assert float(found["top1"]["value"]) == evidence.records[trial.id].metrics["top1"]
    assert (found["top1"]["unit"], found["top1"]["better"], found["top1"]["seed"]) == ("fraction", "higher", "2")
    assert [r["status"] for r in rows if not r["name"]] == ["not run", "failed"]


def test_folds_are_averaged_before_seeds_are_compared():
    evidence = make_evidence(("none", "se"), seeds=2, epochs=1)
    cells, records = [], {}
    for cell in evidence.study.cells:
        trials = []
        for trial in cell.trials:
            for fold in (0, 1):
                config = dataclasses.replace(trial.config, fold=fold)
                twin = dataclasses.replace(trial, config=config)
                old = evidence.records[trial.id]
                metrics = {**old.metrics, "top1": old.metrics["top1"] + 0.1 * fold}
                records[twin.id] = dataclasses.replace(old, id=twin.id, trial=twin, metrics=metrics)
                trials.append(twin)
        cells.append(dataclasses.replace(cell, trials=tuple(trials)))
    study = dataclasses.replace(evidence.study, cells=tuple(cells))
    analysis = analyse(dataclasses.replace(evidence, study=study, records=records))
    arm = analysis.arms[1]

    assert arm.intervals["top1"].n == 2
    assert arm.differences["top1"].n == 2
    original = [evidence.records[t.id].metrics["top1"] for t in evidence.study.cells[1].trials]
    assert arm.intervals["top1"].mean == pytest.approx(sum(original) / 2 + 0.05)


def test_missing_latency_and_memory_leave_their_columns_out_and_say_so():
    evidence = make_evidence()
    records = {
        k: dataclasses.replace(r, cost={n: v for n, v in r.cost.items() if n != "peak_memory"})
        for k, r in evidence.records.items()
    }
    analysis = analyse(dataclasses.replace(evidence, records=records, latency={}))
    heads = [c.label for c in main_table(analysis).columns]

    assert "latency" not in heads
    assert "peak memory" not in heads
    assert "Latency was not measured." in notes(analysis)
    assert any("Peak memory: not recorded" in n for n in notes(analysis))


def test_a_study_that_varies_models_names_them_in_the_first_line():
    evidence = make_evidence(("none", "se"), epochs=1)
    cell = evidence.study.cells[1]
    trials = tuple(
        dataclasses.replace(t, config=dataclasses.replace(t.config, model=Choice.of("timm", arch="resnet50")))
        for t in cell.trials
    )
    cells = (evidence.study.cells[0], dataclasses.replace(cell, trials=trials))
    study = dataclasses.replace(evidence.study, cells=cells)
    lead = headline(analyse(dataclasses.replace(evidence, study=study)))

    assert lead.startswith(
        "2 models (resnet20, timm(arch=resnet50)) on cifar10 (45,000 training items), 1 epoch, 2 rows"
    )


def test_the_section_of_the_comparison_has_both_tables_and_the_pairs():
    section = comparison(analyse(make_evidence(seeds=8)))
    tables = [b for b in section.blocks if isinstance(b, Table)]
    pairs = section.blocks[-1].blocks[0]

    assert [c.label for c in tables[1].columns[2:]] == ["top5 (%)", "cross_entropy (nats)", "ece (%)"]
    assert all(row.entries[-1].text != "–" for row in pairs.lines)  # sign-flip: there are 8 pairs
