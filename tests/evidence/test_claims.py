from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harness.claims import MISSING, Judgement, judge, setting
from harness.claims.timing import Timing
from harness.contracts import Metric
from harness.trial import Cell, Choice, Claim, Config, Provenance, Recipe, Record, Stage, Study, Term, Trial, Value

METRICS = {
    m.name: m
    for m in (
        Metric("top1", "%", "higher", "share of images whose class is ranked first"),
        Metric("loss", "", "lower", "mean cross-entropy"),
        Metric("parameters", "parameters", "lower", "trainable numbers"),
        Metric("macs", "MACs", "lower", "multiplications with addition"),
        Metric("seconds", "s", "lower", "time of training"),
    )
}
RESNET50, CIFAR_STEM, CBAM = 23_528_522, 23_520_842, 26_061_114  # REFERENCE figures for 10 classes
SGD, COSINE = Choice.of("sgd", lr=0.1), Choice("cosine")


def config(attention: Choice, seed: int = 0, fold: int = 0, **changes: Any) -> Config:
    settings: dict[str, Any] = {
        "task": Choice("classification"),
        "dataset": Choice("cifar10"),
        "model": Choice.of("timm", arch="resnet50", stem="imagenet"),
        "placement": "residual",
        "loss": (Term(Choice("cross_entropy"), 1.0, "cross_entropy"),),
        "augment": (Choice("crop"), Choice.of("erasing", p=0.25)),
        "train": Recipe((Stage(100, SGD, COSINE),)),
    }
    return Config(attention=attention, seed=seed, fold=fold, **settings | changes)


def cell(attention: Choice, seeds: int = 3, folds: int = 1, **changes: Any) -> Cell:
    provenance = Provenance((), 1, "data")
    configs = [config(attention, s, f, **changes) for s in range(seeds) for f in range(folds)]
    label = attention.label()
    return Cell(label, label, (("attention", attention.name),), tuple(Trial(c, provenance) for c in configs))


NONE, SE, HYBRID = Choice("none"), Choice.of("se", reduction=16), Choice("hybrid_sequential")
TOP1 = {"none": [0.920, 0.921, 0.922], "se": [0.931, 0.932, 0.933], "hybrid_sequential": [0.940, 0.941, 0.942]}
PARAMETERS = {"none": RESNET50, "se": 26_059_514, "hybrid_sequential": CBAM}


def records(cells: Sequence[Cell], top1: Mapping[str, Sequence[float]] = TOP1) -> dict[str, Record]:
    found = {}
    for one in cells:
        name = one.trials[0].config.attention.name
        for trial, value in zip(one.trials, top1[name], strict=False):
            cost = {"parameters": float(PARAMETERS[name]), "seconds": 10.0 + value}
            found[trial.id] = Record(trial.id, "ok", trial, metrics={"top1": value}, cost=cost)
    return found


def audit(
    *claims: Claim,
    cells: Sequence[Cell] | None = None,
    top1: Mapping[str, Sequence[float]] = TOP1,
    identities: Any = lambda numbers: (),
    defaults: Any = None,
    found: dict[str, Record] | None = None,
) -> tuple[Judgement, ...]:
    rows = tuple(cells) if cells is not None else (cell(NONE), cell(SE), cell(HYBRID))
    study = Study("s", "t", "product", rows, claims=claims)
    return judge(study, records(rows, top1) if found is None else found, METRICS, identities, defaults)


def where(**settings: Value) -> tuple[tuple[str, Value], ...]:
    return tuple((k.replace("__", "."), v) for k, v in settings.items())


def top1(reported: float, attention: str, tolerance: float | None = None, **rest: Any) -> Claim:
    return Claim("top1", "the paper", reported, where(attention=attention), unit="%", tolerance=tolerance, **rest)


def gap(reported: float, a: str, b: str, tolerance: float | None = None, **rest: Any) -> Claim:
    sides = (where(attention=a), where(attention=b))
    options = {"metric": "top1", "unit": "pp"} | rest
    return Claim(source="the paper", reported=reported, difference=sides, tolerance=tolerance, **options)


def order(a: str, b: str, metric: str = "top1", **rest: Any) -> Claim:
    return Claim(metric, "the paper", order=(where(attention=a), where(attention=b)), **rest)


# ---------------------------------------------------------------------------------- absolute numbers, one row


def test_a_number_whose_tolerance_holds_the_interval_is_reproduced() -> None:
    (found,) = audit(top1(94.1, "hybrid_sequential", 0.3))
    assert found.verdict == "reproduced"
    assert found.sentence == (
        "Reported 94.1 % (± 0.3); measured in 'hybrid_sequential': 94.10 % (95 % t-interval 93.85 % to 94.35 %, "
        "n = 3 seeds); the interval lies wholly within the tolerance."
    )
    assert found.measured is not None
    assert found.measured.n == 3


def test_a_number_far_from_the_interval_is_contradicted() -> None:
    (found,) = audit(top1(96.0, "hybrid_sequential", 0.3))
    assert found.verdict == "contradicted"
    assert "wholly outside" in found.sentence


def test_an_interval_across_the_edge_is_inconclusive() -> None:
    (found,) = audit(top1(94.3, "hybrid_sequential", 0.3))
    assert found.verdict == "inconclusive"


def test_without_a_tolerance_half_the_last_digit_counts_and_is_said() -> None:
    (found,) = audit(top1(94.1, "hybrid_sequential"))
    assert found.verdict == "inconclusive"
    assert "± 0.05, half of the last digit reported, as none is given" in found.sentence


def test_one_seed_is_inconclusive() -> None:
    (found,) = audit(top1(92.0, "none", 5.0), cells=[cell(NONE, seeds=1)])
    assert found.verdict == "inconclusive"
    assert "from one seed" in found.sentence


def test_equal_values_of_all_seeds_are_inconclusive() -> None:
    (found,) = audit(top1(92.0, "none", 5.0), top1=TOP1 | {"none": [0.92] * 3})
    assert found.verdict == "inconclusive"
    assert "the same in all 3 seeds" in found.sentence


def test_a_seed_counts_once_however_many_folds_it_has_and_only_when_all_are_done() -> None:
    row = cell(NONE, seeds=3, folds=2)
    values = {"none": [0.90, 0.94, 0.91, 0.95, 0.80]}  # the second fold of the last seed is missing
    (found,) = audit(top1(92.5, "none", 10.0), cells=[row], top1=values)
    assert found.measured is not None
    assert (found.measured.n, found.measured.mean) == (2, pytest.approx(0.925))


def test_failed_trials_do_not_enter_a_value() -> None:
    row = cell(NONE)
    found = records([row])
    bad = row.trials[2]
    found[bad.id] = Record(bad.id, "failed", bad, reason="loss is nan", metrics={"top1": 0.1})
    (judged,) = audit(top1(92.0, "none", 5.0), cells=[row], found=found)
    assert judged.measured is not None
    assert judged.measured.n == 2


# ------------------------------------------------------------------------------------------------ not comparable


def test_another_model_is_not_comparable_and_named() -> None:
    rows = [cell(NONE, model=Choice.of("timm", arch="resnet20"))]
    claim = Claim("top1", "paper", 92.1, where(attention="none", model__arch="resnet50"), unit="%")
    (found,) = audit(claim, cells=rows)
    assert found.verdict == "not comparable"
    assert "model.arch: claimed 'resnet50', here 'resnet20'" in found.sentence


def test_every_setting_that_differs_is_named() -> None:
    claim = Claim("top1", "paper", 92.1, where(train__epochs=200, dataset="cifar100", attention="se"), unit="%")
    (found,) = audit(claim)
    assert found.verdict == "not comparable"
    assert "dataset: claimed 'cifar100', here 'cifar10'" in found.sentence
    assert "train.epochs: claimed 200, here 100" in found.sentence
    assert "attention" not in found.sentence


def test_a_row_that_is_missing_only_in_combination_shows_the_nearest() -> None:
    claim = Claim("top1", "paper", 92.1, where(attention="none", attention__reduction=16), unit="%")
    (found,) = audit(claim)
    assert found.verdict == "not comparable"
    assert "No row has all of attention 'none', attention.reduction 16; the nearest is 'none'" in found.sentence


def test_a_description_of_several_rows_asks_for_more_settings() -> None:
    (found,) = audit(Claim("top1", "paper", 92.1, where(dataset="cifar10"), unit="%"))
    assert found.verdict == "not comparable"
    assert "matches 3 rows: 'none', 'se(reduction=16)', 'hybrid_sequential'; name more settings" in found.sentence


def test_a_row_without_results_is_not_comparable_and_says_why() -> None:
    row = cell(NONE)
    (pending,) = audit(top1(92.0, "none"), cells=[row], found={})
    failed = {t.id: Record(t.id, "failed", t, reason="loss is nan in epoch 2") for t in row.trials}
    (broken,) = audit(top1(92.0, "none"), cells=[row], found=failed)
    assert (pending.verdict, broken.verdict) == ("not comparable", "not comparable")
    assert "no finished seed yet (0 of 3 trials done)" in pending.sentence
    assert "3 of 3 trials failed (loss is nan in epoch 2)" in broken.sentence


def test_a_metric_that_nobody_measures_or_recorded_is_not_comparable() -> None:
    unknown, unrecorded = audit(
        Claim("bleu", "paper", 1.0, where(attention="none")), Claim("loss", "paper", 1.0, where(attention="none"))
    )
    assert unknown.verdict == unrecorded.verdict == "not comparable"
    assert "does not measure 'bleu'; it has top1, loss, parameters" in unknown.sentence
    assert "The records of 'none' hold no loss" in unrecorded.sentence


def test_a_unit_of_another_metric_is_not_comparable() -> None:
    (found,) = audit(Claim("top1", "paper", 94.1, where(attention="none"), unit="M"))
    assert found.verdict == "not comparable"
    assert "'M' is none of top1, which is given in '%'" in found.sentence


def test_the_two_sides_of_a_claim_must_be_two_rows() -> None:
    (found,) = audit(gap(1.0, "se", "se"))
    assert found.verdict == "not comparable"


# ------------------------------------------------------------------------------------------ differences and order


def test_a_difference_is_judged_by_the_paired_interval() -> None:
    wobble = TOP1 | {"se": [0.9305, 0.9322, 0.9328]}
    alone = [audit(gap(reported, "se", "none", 0.4), top1=wobble)[0] for reported in (1.1, 5.0, 1.5)]
    assert [j.verdict for j in alone] == ["reproduced", "contradicted", "inconclusive"]
    assert alone[0].difference is not None
    assert alone[0].difference.n == 3
    assert "+1.08 pp (95 % t-interval" in alone[0].sentence


def test_a_difference_of_one_seed_is_inconclusive() -> None:
    (found,) = audit(gap(1.1, "se", "none", 5.0), cells=[cell(NONE, 1), cell(SE, 1)])
    assert found.verdict == "inconclusive"
    assert "+1.10 pp, from one pair" in found.sentence


def test_rows_without_a_common_seed_cannot_be_compared() -> None:
    rows = [cell(NONE, 1), cell(SE, 2)]
    found = records(rows)
    del found[rows[1].trials[0].id]
    (judged,) = audit(gap(1.1, "se", "none"), cells=rows, found=found)
    assert judged.verdict == "not comparable"
    assert "No seed was finished in both rows" in judged.sentence


def test_an_order_is_judged_by_the_side_of_zero() -> None:
    wobble = TOP1 | {"se": [0.9305, 0.9322, 0.9328], "hybrid_sequential": [0.931, 0.9300, 0.9335]}
    verdicts = [audit(order(a, b), top1=wobble)[0] for a, b in (("se", "none"), ("none", "se"))]
    (tie,) = audit(order("hybrid_sequential", "se"), top1=wobble)
    assert [j.verdict for j in verdicts] + [tie.verdict] == ["reproduced", "contradicted", "inconclusive"]
    assert "'se(reduction=16)' beats 'none' in top1 (higher is better)" in verdicts[0].sentence


def test_beating_means_less_where_lower_is_better() -> None:
    wobble = TOP1 | {"se": [0.9305, 0.9322, 0.9328]}
    (found,) = audit(order("se", "none", "seconds"), top1=wobble)  # `records` makes seconds grow with accuracy
    assert found.verdict == "contradicted"


# ----------------------------------------------------------------- counted numbers: the published figures of ResNet-50


def parameters(reported: float, attention: str, unit: str = "M", **rest: Any) -> Claim:
    return Claim("parameters", "the paper", reported, where(attention=attention), unit=unit, **rest)


@pytest.mark.parametrize("count", [RESNET50, CIFAR_STEM])
def test_the_thousand_class_count_is_impossible_for_ten_classes(count: int) -> None:
    row = cell(NONE)
    found = {t.id: Record(t.id, "ok", t, metrics={"top1": 0.9}, cost={"parameters": float(count)}) for t in row.trials}
    (judged,) = audit(parameters(25.6, "none"), cells=[row], found=found)
    assert judged.verdict == "impossible"
    assert "Reported 25.6 M parameters" in judged.sentence
    assert f"{count:,} parameters" in judged.sentence
    assert "model timm(arch=resnet50, stem=imagenet), attention none, dataset cifar10" in judged.sentence


def test_a_count_rounded_as_published_is_reproduced_by_a_single_trial() -> None:
    (found,) = audit(parameters(23.5, "none"), cells=[cell(NONE, 1)])
    assert found.verdict == "reproduced"


def test_a_count_in_full_is_held_to_the_last_parameter() -> None:
    (right,) = audit(parameters(23528522, "none", "parameters"))
    (wrong,) = audit(parameters(23528523, "none", "parameters", tolerance=0.0))
    assert (right.verdict, wrong.verdict) == ("reproduced", "impossible")


@pytest.mark.parametrize("unit", ["relative %", "%"])
def test_thirteen_per_cent_more_parameters_are_impossible(unit: str) -> None:
    (found,) = audit(gap(13, "hybrid_sequential", "none", metric="parameters", unit=unit))
    assert found.verdict == "impossible"
    assert "+13 %" in found.sentence
    assert "26,061,114 parameters against 23,528,522 parameters, that is +10.76 %" in found.sentence


def test_the_relative_difference_that_was_counted_is_reproduced() -> None:
    (found,) = audit(gap(10.8, "hybrid_sequential", "none", metric="parameters", unit="relative %"))
    assert found.verdict == "reproduced"


def test_the_published_counts_and_their_ratio_do_not_exclude_each_other() -> None:
    judged = audit(
        parameters(25.6, "none"),
        parameters(28.9, "hybrid_sequential"),
        gap(13, "hybrid_sequential", "none", metric="parameters", unit="relative %"),
    )
    assert [j.verdict for j in judged] == ["impossible"] * 3
    assert not any("excludes" in j.sentence for j in judged)


def test_a_relative_difference_of_a_measured_metric_is_taken_seed_by_seed() -> None:
    wobble = TOP1 | {"se": [0.9305, 0.9322, 0.9328]}
    (found,) = audit(gap(1.2, "se", "none", 0.4, unit="relative %"), top1=wobble)
    assert found.verdict == "reproduced"
    assert "Measured: +1.18 % (95 % t-interval" in found.sentence


@pytest.mark.parametrize("folds", [1, 2])
def test_nothing_is_relative_to_a_count_of_zero(folds: int) -> None:
    rows = [cell(NONE, 1, folds), cell(SE, 1, folds)]  # with two folds no seed is complete, but the count is known
    done = [(row.trials[0], macs) for row, macs in zip(rows, (0.0, 5.0), strict=True)]
    found = {t.id: Record(t.id, "ok", t, cost={"macs": macs}) for t, macs in done}
    (judged,) = audit(gap(13, "se", "none", metric="macs", unit="relative %"), cells=rows, found=found)
    assert judged.verdict == "not comparable"
    assert "has a value of 0" in judged.sentence


def test_an_order_of_counts_that_is_wrong_is_impossible() -> None:
    (right,) = audit(order("none", "se", "parameters"))
    (wrong,) = audit(order("se", "none", "parameters"))
    assert (right.verdict, wrong.verdict) == ("reproduced", "impossible")


@pytest.mark.parametrize(("reported", "unit"), [(4.1, "G"), (4.1, "GMACs"), (4100, "M"), (4.1e9, "MACs")])
def test_macs_may_be_given_in_millions_or_billions(reported: float, unit: str) -> None:
    row = cell(NONE)
    found = {t.id: Record(t.id, "ok", t, cost={"macs": 4.1e9}) for t in row.trials}
    (judged,) = audit(Claim("macs", "paper", reported, where(attention="none"), unit=unit), cells=[row], found=found)
    assert judged.verdict == "reproduced"


def test_seconds_may_be_given_in_minutes() -> None:
    row = cell(NONE)
    found = {t.id: Record(t.id, "ok", t, cost={"seconds": 120.0 + s}) for s, t in enumerate(row.trials)}
    claim = Claim("seconds", "paper", 2.0, where(attention="none"), unit="min", tolerance=0.2)
    assert audit(claim, cells=[row], found=found)[0].verdict == "reproduced"


# ------------------------------------------------------------------------------- claims that exclude each other


def test_a_difference_that_the_absolute_numbers_do_not_leave_is_impossible() -> None:
    base, se, claimed = audit(
        top1(92.1, "none", 0.3, line=3), top1(93.2, "se", 0.3, line=4), gap(2.0, "se", "none", line=5)
    )
    assert claimed.verdict == "impossible"
    assert "93.2 % (± 0.3) and 92.1 % (± 0.3): they leave +0.50 pp to +1.70 pp" in claimed.sentence
    assert base.verdict == "reproduced"
    assert "cannot hold together with the claim of line 5" in base.sentence
    assert "cannot hold together with the claim of line 5" in se.sentence


def test_two_claimed_differences_of_one_pair_of_rows_exclude_each_other_in_either_direction() -> None:
    same = audit(gap(1.1, "se", "none"), gap(2.0, "se", "none"))
    mirrored = audit(gap(1.1, "se", "none"), gap(-2.0, "none", "se"))
    agreeing = audit(gap(1.1, "se", "none"), gap(-1.1, "none", "se"))
    assert [j.verdict for j in (*same, *mirrored)] == ["impossible"] * 4
    assert "impossible" not in [j.verdict for j in agreeing]


def test_a_difference_within_the_tolerances_is_no_contradiction() -> None:
    judged = audit(top1(92.1, "none", 0.5), top1(93.2, "se", 0.5), gap(2.0, "se", "none"))
    assert judged[2].verdict != "impossible"


def test_an_order_against_the_papers_own_numbers_is_impossible() -> None:
    judged = audit(top1(93.5, "hybrid_sequential"), top1(93.2, "se"), order("se", "hybrid_sequential"))
    assert judged[2].verdict == "impossible"
    assert "they leave −0.40 pp to −0.20 pp" in judged[2].sentence


def test_two_numbers_for_one_row_are_both_impossible() -> None:
    first, second = audit(top1(92.1, "none", line=7), top1(93.0, "none", line=8))
    assert first.verdict == second.verdict == "impossible"
    assert "excludes the claim of line 8, which gives 93 %" in first.sentence
    assert "excludes the claim of line 7" in second.sentence


def test_two_opposite_orders_are_both_impossible() -> None:
    judged = audit(order("se", "none", line=1), order("none", "se", line=2))
    assert [j.verdict for j in judged] == ["impossible", "impossible"]


def test_a_difference_against_an_order_is_impossible_for_both() -> None:
    judged = audit(gap(1.1, "se", "none"), order("none", "se"))
    assert [j.verdict for j in judged] == ["impossible", "impossible"]


def test_the_same_row_is_recognised_under_two_descriptions() -> None:
    full = Claim("top1", "the paper", 93.0, where(attention="none", model__arch="resnet50"), unit="%")
    assert [j.verdict for j in audit(top1(92.1, "none"), full)] == ["impossible", "impossible"]


def test_claims_exclude_each_other_even_where_the_study_has_no_such_row() -> None:
    judged = audit(
        Claim("top1", "paper", 92.1, where(model__arch="vgg", attention__reduction=16), unit="%"),
        Claim("top1", "paper", 93.0, where(attention__reduction=16.0, model__arch="vgg"), unit="%"),
    )
    assert [j.verdict for j in judged] == ["impossible", "impossible"]
    assert "claimed 'vgg', here 'resnet50'" in judged[0].sentence


def test_two_publications_may_differ() -> None:
    one = Claim("top1", "He et al., table 6", 92.1, where(attention="none"), unit="%")
    same = Claim("top1", "he et al. (appendix)", 93.0, where(attention="none"), unit="%")
    other = Claim("top1", "Wang et al.", 93.0, where(attention="none"), unit="%")
    assert "impossible" not in [j.verdict for j in audit(one, other)]
    assert [j.verdict for j in audit(one, same)] == ["impossible", "impossible"]


def top1_against_loss(numbers: Mapping[str, float]) -> Sequence[str]:
    if {"top1", "loss"} <= numbers.keys() and numbers["top1"] > 0.5 and numbers["loss"] > 5:
        return (f"a top1 of {numbers['top1']:.3f} and a loss of {numbers['loss']:g} do not go together",)
    return ()


def test_an_identity_of_the_task_makes_the_numbers_that_break_it_impossible() -> None:
    spec = where(attention="none")
    judged = audit(
        Claim("top1", "paper", 92.0, spec, unit="%", tolerance=1.0),
        Claim("loss", "paper", 7.0, spec),
        Claim("seconds", "paper", 10.9, spec, unit="s", tolerance=0.5),
        identities=top1_against_loss,
    )
    assert [j.verdict for j in judged] == ["impossible", "impossible", "reproduced"]
    assert "a top1 of 0.920 and a loss of 7 do not go together" in judged[0].sentence


def test_numbers_of_two_rows_are_not_held_to_one_rows_identity() -> None:
    judged = audit(
        top1(92.0, "none", 1.0), Claim("loss", "paper", 7.0, where(attention="se")), identities=top1_against_loss
    )
    assert "impossible" not in [j.verdict for j in judged]


# ------------------------------------------------------------------------------------------------------- settings


def defaults(kind: str, name: str) -> Mapping[str, Value]:
    return {("attention", "hybrid_sequential"): {"reduction": 16}, ("optimizer", "sgd"): {"momentum": 0.9}}.get(
        (kind, name), {}
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention", "hybrid_sequential"),
        ("attention.reduction", 16),
        ("attention.nonsense", MISSING),
        ("model", "timm"),
        ("model.name", "timm"),
        ("model.arch", "resnet50"),
        ("model.arch.deeper", MISSING),
        ("dataset", "cifar10"),
        ("task", "classification"),
        ("placement", "residual"),
        ("seed", 0),
        ("loss", "cross_entropy"),
        ("loss.cross_entropy", 1.0),
        ("augment", ("crop", "erasing")),
        ("augment.crop", True),
        ("augment.flip", False),
        ("augment.erasing.p", 0.25),
        ("augment.flip.p", MISSING),
        ("train.epochs", 100),
        ("train.batch_size", 128),
        ("train.optimizer", "sgd"),
        ("train.optimizer.lr", 0.1),
        ("train.optimizer.momentum", 0.9),
        ("train.clip_norm", None),
        ("train.nonsense", MISSING),
        ("train.batch_size.deeper", MISSING),
        ("nonsense", MISSING),
    ],
)
def test_a_dotted_key_finds_its_setting(key: str, value: Value) -> None:
    assert setting(config(HYBRID), key, defaults) == value


def test_settings_of_stages_are_one_value_where_they_agree_and_a_list_where_not() -> None:
    stages = (Stage(10, Choice.of("adamw", lr=1e-4), COSINE), Stage(20, Choice.of("adamw", lr=1e-5), COSINE))
    staged = config(NONE, train=Recipe(stages))
    assert setting(staged, "train.epochs") == 30
    assert setting(staged, "train.optimizer") == "adamw"
    assert setting(staged, "train.optimizer.lr") == (1e-4, 1e-5)


def test_a_sum_of_losses_is_a_list_with_coefficients_and_options() -> None:
    terms = (Term(Choice("bce"), 1.0, "bce"), Term(Choice.of("gdl", order=2), 0.5, "gdl"))
    summed = config(NONE, loss=terms)
    assert setting(summed, "loss") == ("bce", "gdl")
    assert (setting(summed, "loss.gdl"), setting(summed, "loss.gdl.order")) == (0.5, 2)


def test_an_option_of_a_single_loss_needs_no_name() -> None:
    smooth = config(NONE, loss=(Term(Choice.of("cross_entropy", smoothing=0.1), 1.0, "cross_entropy"),))
    assert setting(smooth, "loss.smoothing") == 0.1


@pytest.mark.parametrize(
    "spec",
    [
        where(attention="se", attention__reduction=16.0),
        where(attention=Choice.of("se", reduction=16)),
        where(attention="se", augment=(Choice("crop"), Choice.of("erasing", p=0.25))),
        where(attention="se", augment__crop=True, train__epochs=100.0),
    ],
)
def test_one_row_may_be_described_in_several_ways(spec: tuple[tuple[str, Value], ...]) -> None:
    (found,) = audit(Claim("top1", "paper", 93.2, spec, unit="%", tolerance=0.5))
    assert found.verdict == "reproduced"


def test_a_default_that_the_grid_left_out_is_looked_up() -> None:
    spec = where(attention="hybrid_sequential", attention__reduction=16)
    claim = Claim("top1", "paper", 94.1, spec, unit="%", tolerance=0.5)
    assert audit(claim)[0].verdict == "not comparable"
    assert audit(claim, defaults=defaults)[0].verdict == "reproduced"


def test_true_is_not_one() -> None:
    (found,) = audit(Claim("top1", "paper", 93.2, where(attention="se", augment__crop=1), unit="%"))
    assert found.verdict == "not comparable"


TIMINGS = {"none": Timing(2.0, 1, "cpu"), "hybrid_sequential": Timing(3.0, 1, "cpu")}


def timed(claim: Claim, timings: Mapping[str, Timing] = TIMINGS) -> Judgement:
    rows = (cell(NONE), cell(SE), cell(HYBRID))
    study = Study("s", "t", "product", rows, claims=(claim,))
    return judge(study, records(rows), METRICS, lambda _: (), timings=timings)[0]


def test_a_latency_stands_beside_what_was_measured_here_and_gets_no_verdict():
    one = timed(Claim("latency", "the paper", 2.7, where(attention="hybrid_sequential"), unit="ms"))
    assert one.verdict == "not comparable"
    assert "Reported 2.7 ms" in one.sentence
    assert "Measured here: 3 ms (batch 1 on cpu)" in one.sentence
    assert "belongs to its machine" in one.sentence


def test_a_relative_latency_gets_the_ratio_of_the_two_rows():
    pair = (where(attention="hybrid_sequential"), where(attention="none"))
    both = timed(Claim("latency", "the paper", 29, difference=pair, unit="relative %"))
    assert both.verdict == "not comparable"
    assert "3 ms against 2 ms (batch 1 on cpu), that is +50.00 %" in both.sentence
    unmeasured = timed(Claim("latency", "the paper", 29, difference=pair, unit="relative %"), {})
    assert "latency of 'hybrid_sequential' was not measured here" in unmeasured.sentence


def test_latencies_that_exclude_each_other_are_impossible_like_other_numbers():
    rows = (cell(NONE), cell(HYBRID))
    pair = (where(attention="hybrid_sequential"), where(attention="none"))
    claims = (
        Claim("latency", "the paper", 2.1, where(attention="none"), unit="ms"),
        Claim("latency", "the paper", 2.7, where(attention="hybrid_sequential"), unit="ms"),
        Claim("latency", "the paper", 60, difference=pair, unit="relative %"),
    )
    study = Study("s", "t", "product", rows, claims=claims)
    judged = judge(study, records(rows), METRICS, lambda _: (), timings=TIMINGS)
    assert [j.verdict for j in judged] == ["not comparable", "not comparable", "impossible"]
