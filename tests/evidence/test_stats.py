from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.errors import ConfigError
from harness.stats import (
    hierarchical_bootstrap,
    holm,
    mde,
    mean_interval,
    paired_difference,
    quantity,
    verdict,
)

BASE = {0: 0.921, 1: 0.9185, 2: 0.9232, 3: 0.9201, 4: 0.9190}


def arm(gains: list[float], base: dict[int, float] | None = None) -> dict[int, float]:
    start = base or {i: 0.90 + 0.001 * (i % 3) for i in range(len(gains))}
    return {seed: start[seed] + gain for seed, gain in zip(start, gains, strict=False)}


# ------------------------------------------------------------------------------------------------------- intervals


def test_the_mean_interval_equals_scipys_t_interval() -> None:
    values = list(BASE.values())
    ours = mean_interval(values)
    low, high = scipy_stats.t.interval(0.95, 4, np.mean(values), scipy_stats.sem(values))
    assert (ours.n, ours.method, ours.sd) == (5, "t", pytest.approx(np.std(values, ddof=1)))
    assert (ours.low, ours.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_one_value_has_a_mean_and_no_interval() -> None:
    one = mean_interval([0.9])
    assert (one.n, one.mean, one.sd, one.low, one.high, one.method) == (1, 0.9, None, None, None, "single")


def test_no_values_are_no_error_and_no_number() -> None:
    none = mean_interval([])
    assert (none.n, none.mean, none.low, none.method) == (0, None, None, "empty")


def test_equal_values_claim_no_interval_of_width_zero() -> None:
    equal = mean_interval([0.1 + 0.2, 0.3, 0.3])
    assert (equal.sd, equal.low, equal.high, equal.method) == (0.0, None, None, "identical")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_and_named(bad: float) -> None:
    with pytest.raises(ConfigError, match="value 2 of 3"):
        mean_interval([0.9, bad, 0.8])


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_zero_and_one_is_refused(level: float) -> None:
    with pytest.raises(ConfigError, match="level"):
        mean_interval([0.9, 0.8], level)


@pytest.mark.parametrize(("n", "coverage"), [(3, 0.74), (5, 0.83)])
def test_the_t_interval_covers_as_it_says_and_the_percentile_bootstrap_does_not(n: int, coverage: float) -> None:
    random = np.random.default_rng(1)
    samples = random.normal(size=(600, n))
    t = [mean_interval(s.tolist()) for s in samples]
    boot = [hierarchical_bootstrap(s, np.zeros(n), draws=400, generator=i) for i, s in enumerate(samples)]
    held_t = np.mean([i.low < 0 < i.high for i in t if i.low is not None and i.high is not None])
    held_boot = np.mean([i.low < 0 < i.high for i in boot if i.low is not None and i.high is not None])
    assert held_t == pytest.approx(0.95, abs=0.03)
    assert held_boot == pytest.approx(coverage, abs=0.05)


# ---------------------------------------------------------------------------------------------- paired comparisons


def test_the_paired_difference_equals_scipys_paired_t_test() -> None:
    a = arm([0.010, 0.012, 0.008, 0.013, 0.006], BASE)
    ours = paired_difference(a, BASE)
    theirs = scipy_stats.ttest_rel(list(a.values()), list(BASE.values()))
    interval = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (ours.low, ours.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert ours.mean is not None
    assert ours.sd is not None
    assert ours.d == pytest.approx(ours.mean / ours.sd)
    assert ours.correlation == pytest.approx(np.corrcoef(list(a.values()), list(BASE.values()))[0, 1])


def test_the_welch_interval_equals_scipys() -> None:
    a = arm([0.010, 0.002, 0.018, 0.013, 0.026], BASE)
    interval = scipy_stats.ttest_ind(list(a.values()), list(BASE.values()), equal_var=False).confidence_interval(0.95)
    assert paired_difference(a, BASE).welch == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_pairs_are_made_by_key_and_lonely_keys_are_named() -> None:
    ours = paired_difference({2: 0.5, 0: 0.9, 7: 0.1}, {0: 0.8, 2: 0.6, 9: 0.3, 8: 0.2})
    assert [(k, round(v, 9)) for k, v in ours.pairs] == [(2, -0.1), (0, 0.1)]
    assert (ours.n, ours.unmatched_a, ours.unmatched_b) == (2, (7,), (9, 8))


def test_seed_and_fold_serve_as_a_key() -> None:
    ours = paired_difference({(0, 0): 1.0, (0, 1): 3.0}, {(0, 1): 1.0, (0, 0): 0.5})
    assert ours.pairs == (((0, 0), 0.5), ((0, 1), 2.0))


def test_arms_without_a_common_seed_have_no_numbers() -> None:
    ours = paired_difference({0: 0.9}, {1: 0.8})
    assert (ours.n, ours.mean, ours.p, ours.unmatched_a, ours.unmatched_b) == (0, None, None, (0,), (1,))


def test_one_pair_has_a_difference_and_no_interval() -> None:
    ours = paired_difference({0: 0.9}, {0: 0.8})
    assert (ours.n, ours.sd, ours.low, ours.p, ours.d, ours.welch) == (1, None, None, None, None, None)
    assert ours.mean == pytest.approx(0.1)


def test_equal_differences_are_no_proof_though_the_spread_is_zero() -> None:
    # 0.92 - 0.91 and 0.91 - 0.90 differ in the last bit; taken at its word that gives p = 1e-15
    ours = paired_difference({0: 0.92, 1: 0.91, 2: 0.93}, {0: 0.91, 1: 0.90, 2: 0.92})
    assert (ours.sd, ours.low, ours.high, ours.p, ours.d) == (0.0, None, None, None, None)


def test_arms_that_agree_in_every_pair_have_p_one() -> None:
    ours = paired_difference(BASE, dict(BASE))
    assert (ours.mean, ours.sd, ours.p, ours.improvement) == (0.0, 0.0, 1.0, 0.5)


def test_the_probability_of_improvement_counts_ties_as_half() -> None:
    ours = paired_difference({0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}, {0: 0.0, 1: 2.0, 2: 4.0, 3: 0.0})
    assert ours.improvement == pytest.approx(2.5 / 4)


@pytest.mark.parametrize(("n", "smallest"), [(8, 0.0078), (10, 0.002)])
def test_the_smallest_sign_flip_p_is_two_in_two_to_the_n(n: int, smallest: float) -> None:
    p = paired_difference(arm([0.01 + 0.001 * i for i in range(n)]), arm([0.0] * n)).sign_flip
    assert p == pytest.approx(2 / 2**n)
    assert p == pytest.approx(smallest, rel=0.03)


def test_the_sign_flip_test_equals_scipys_permutation_test() -> None:
    gains = [0.010, -0.004, 0.012, 0.003, -0.001, 0.008, 0.006, -0.002, 0.009]
    theirs = scipy_stats.permutation_test(
        (np.array(gains),), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert paired_difference(arm(gains), arm([0.0] * 9)).sign_flip == pytest.approx(theirs.pvalue, abs=1e-12)


def test_the_sign_flip_test_is_left_out_below_eight_pairs() -> None:
    assert paired_difference(arm([0.01 + 0.001 * i for i in range(7)]), arm([0.0] * 7)).sign_flip is None


def test_the_sign_flip_test_of_many_pairs_draws_and_stays_near_the_t_test() -> None:
    gains = np.random.default_rng(3).normal(0.3, 1.0, 50).tolist()
    first, again = (paired_difference(arm(gains), arm([0.0] * 50)) for _ in range(2))
    assert first.sign_flip == again.sign_flip
    assert first.sign_flip == pytest.approx(first.p, abs=0.01)


def test_holm_equals_the_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


def test_holm_keeps_the_order_caps_at_one_and_skips_what_has_no_test() -> None:
    assert holm([0.9, None, 0.8]) == (1.0, None, 1.0)
    assert holm([]) == ()


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(ConfigError, match="p value 2 of 2"):
        holm([0.1, 1.5])


@pytest.mark.parametrize(("n", "reference"), [(3, 0.53), (5, 0.35), (10, 0.23)])
def test_the_reference_figures_are_the_two_sample_mde_rounded_up(n: int, reference: float) -> None:
    found = mde(0.17, n, paired=False)
    assert found is not None
    assert math.ceil(100 * found) / 100 == reference


@pytest.mark.parametrize(("difference", "seeds"), [(0.2, 13), (0.3, 7), (0.6, 3)])
def test_the_seeds_that_the_reference_asks_for_are_just_enough(difference: float, seeds: int) -> None:
    enough, fewer = mde(0.17, seeds, paired=False), mde(0.17, seeds - 1, paired=False)
    assert enough is not None
    assert fewer is not None
    assert enough <= difference < fewer


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_the_paired_mde_has_the_power_that_it_says_by_the_noncentral_t(n: int) -> None:
    found = mde(0.17, n)
    assert found is not None
    nc, bar = found * math.sqrt(n) / 0.17, scipy_stats.t.ppf(0.975, n - 1)
    assert scipy_stats.nct.sf(bar, n - 1, nc) == pytest.approx(0.8, abs=1e-3)


def test_the_mde_of_two_pairs_is_a_number_and_of_one_is_none() -> None:
    two, three = mde(0.17, 2), mde(0.17, 3)
    assert two is not None
    assert three is not None
    assert math.isfinite(two)
    assert two > 3 * three
    assert mde(0.17, 1) is None


def test_the_mde_refuses_a_power_that_makes_no_sense() -> None:
    with pytest.raises(ConfigError, match="power 2"):
        mde(0.17, 5, power=2)


# -------------------------------------------------------------------------------------------------------- verdicts


def judge(gains: list[float], better: str = "higher", **options: float) -> tuple[str, str]:
    difference = paired_difference(arm(gains), arm([0.0] * len(gains)))
    found = verdict(difference, better, unit="%", **options)  # type: ignore[arg-type]
    return found.word, found.sentence


@pytest.mark.parametrize(("better", "word"), [("higher", "better"), ("lower", "worse")])
def test_the_direction_of_the_metric_decides_what_is_better(better: str, word: str) -> None:
    found, sentence = judge([0.010, 0.012, 0.008, 0.013, 0.006], better)
    assert found == word
    assert sentence.startswith("0.98 pp higher (95 % t-interval +0.62 pp to +1.34 pp, n = 5 pairs")
    assert "p = 0.0016" in sentence


def test_three_seeds_get_an_interval_and_no_p() -> None:
    word, sentence = judge([0.010, 0.011, 0.012])
    assert word == "better"
    assert "p =" not in sentence
    assert "significant" not in sentence
    assert "3 pairs are too few for a test" in sentence


def test_one_seed_allows_no_verdict() -> None:
    word, sentence = judge([0.05])
    assert word == "one seed"
    assert "5.00 pp higher" in sentence


def test_an_interval_around_zero_says_what_could_not_be_seen() -> None:
    word, sentence = judge([0.010, -0.012, 0.004])
    assert word == "no clear difference"
    assert "3 pairs would miss most differences below 3.71 pp (80 % power)" in sentence


def test_a_small_interval_within_the_margin_is_equivalent_even_if_it_leaves_zero_out() -> None:
    gains = [0.0010, 0.0012, 0.0008, 0.0011, 0.0009]
    assert judge(gains)[0] == "better"
    word, sentence = judge(gains, margin=0.003)
    assert word == "equivalent"
    assert "within ±0.30 pp" in sentence


def test_holms_correction_can_take_a_verdict_back() -> None:
    gains = [0.010, 0.012, 0.008, 0.013, 0.006]
    assert judge(gains, adjusted_p=0.006)[0] == "better"
    word, sentence = judge(gains, adjusted_p=0.06)
    assert word == "no clear difference"
    assert "p = 0.06 after Holm's correction" in sentence


def test_eight_seeds_name_the_sign_flip_test_as_well() -> None:
    assert "sign-flip test p = 0.0078" in judge([0.010, 0.012, 0.008, 0.013, 0.006, 0.009, 0.011, 0.007])[1]


def test_eight_seeds_need_both_tests_to_agree() -> None:
    word, sentence = judge([0.009, 0.010, 0.011, -0.001, -0.001, -0.001, 0.019, 0.020])
    assert word == "no clear difference"
    assert "paired t-test p = 0.03; sign-flip test p = 0.062" in sentence


def test_an_interval_beyond_the_margin_on_one_side_is_not_equivalent() -> None:
    assert judge([-0.010, -0.012, -0.008, -0.013, -0.006], margin=0.003)[0] == "worse"


def test_equal_steps_in_three_seeds_are_no_clear_difference() -> None:
    word, sentence = judge([0.01, 0.01, 0.01])
    assert word == "no clear difference"
    assert "cannot be estimated" in sentence


def test_equal_steps_in_eight_seeds_are_judged_by_the_sign_flip_test() -> None:
    assert judge([-0.01] * 8)[0] == "worse"


def test_identical_arms_are_equivalent_once_a_margin_is_set() -> None:
    assert judge([0.0, 0.0, 0.0])[0] == "no clear difference"
    assert judge([0.0, 0.0, 0.0], margin=0.001)[0] == "equivalent"


def test_arms_without_a_common_seed_are_said_to_have_none_and_lonely_seeds_are_named() -> None:
    found = verdict(paired_difference({4: 0.9}, {5: 0.8}), "higher")
    assert found.word == "no pairs"
    assert "only this arm has 4; only the baseline has 5" in found.sentence


def test_a_margin_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="margin"):
        judge([0.1, 0.2], margin=0.0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("94.10 %", quantity(0.941, "%")),
        ("+1.10 pp", quantity(0.011, "%", signed=True, difference=True)),
        ("0.00 pp", quantity(-0.00001, "%", difference=True)),
        ("+10.76 %", quantity(0.1076, "relative %", signed=True, difference=True)),
        ("23,528,522 parameters", quantity(23528522, "parameters")),
        ("0.03125", quantity(0.03125)),
        ("2.5 ms", quantity(2.5, "ms")),
    ],
)
def test_numbers_are_printed_with_their_unit(text: str, found: str) -> None:
    assert found == text


# ------------------------------------------------------------------------------------------------------- bootstrap


def test_the_bootstrap_over_items_comes_near_the_normal_interval_of_their_mean() -> None:
    a = np.random.default_rng(0).normal(0.1, 1.0, (3, 500))
    found = hierarchical_bootstrap(a, np.zeros((3, 500)))
    error = a.mean(axis=0).std(ddof=1) / math.sqrt(500)
    assert (found.items, found.seeds, found.mean) == (500, 3, pytest.approx(a.mean()))
    assert found.low == pytest.approx(a.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(a.mean() + 1.96 * error, abs=0.15 * error)


def test_pairing_removes_what_both_arms_share() -> None:
    shared = np.random.default_rng(0).normal(0.0, 10.0, 200)
    gain = np.random.default_rng(1).normal(0.5, 0.1, 200)
    found = hierarchical_bootstrap(shared + gain, shared)
    assert found.low is not None
    assert found.high is not None
    assert 0.45 < found.low < found.high < 0.55


def test_redrawing_seeds_widens_the_interval_where_seeds_differ() -> None:
    a = np.random.default_rng(0).normal(0.0, 0.1, (4, 300)) + np.array([[0.0], [1.0], [2.0], [3.0]])
    items = hierarchical_bootstrap(a, np.zeros_like(a), "item")
    both = hierarchical_bootstrap(a, np.zeros_like(a), "item+seed")
    assert items.low is not None
    assert items.high is not None
    assert both.low is not None
    assert both.high is not None
    assert both.high - both.low > 20 * (items.high - items.low)
    assert both.method == "percentile bootstrap over 300 items and 4 seeds, 2000 draws"


def test_one_seed_cannot_be_redrawn_and_the_result_says_so() -> None:
    assert hierarchical_bootstrap([1.0, 2.0, 4.0], [0.0, 0.0, 0.0], "item+seed").resample == "item"


def test_the_bootstrap_gives_the_same_interval_twice_and_in_chunks() -> None:
    a = np.random.default_rng(0).normal(size=(2, 10_000))
    first, again = (hierarchical_bootstrap(a, np.zeros_like(a), "item+seed", draws=450) for _ in range(2))
    assert first == again
    assert first.draws == 450


def test_one_item_has_no_interval() -> None:
    found = hierarchical_bootstrap([[1.0], [2.0]], [[0.0], [0.0]])
    assert (found.mean, found.low, found.high) == (1.5, None, None)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([1.0, 2.0], [1.0], "shapes"),
        ([], [], "shapes"),
        ([1.0, math.nan], [1.0, 2.0], "first arm's value of item 1"),
    ],
)
def test_the_bootstrap_refuses_what_cannot_be_paired(a: list[float], b: list[float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        hierarchical_bootstrap(a, b)
