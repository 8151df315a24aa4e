"""What may be said of a paired difference, and what may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import ConfigError
from .paired import Difference, mde
from .wording import between, probability, quantity

Word: TypeAlias = Literal["better", "worse", "equivalent", "no clear difference", "one seed", "no pairs"]
TEST_FROM = 5  # fewer pairs get an interval and no p


@dataclass(frozen=True, slots=True)
class Verdict:
    """One word, and the sentence that gives its numbers."""

    word: Word
    sentence: str


def verdict(
    difference: Difference,
    better: Literal["higher", "lower"],
    margin: float | None = None,
    adjusted_p: float | None = None,
    unit: str = "",
) -> Verdict:
    """Judge an arm (a) against its baseline (b).

    better: the direction of the metric. margin: differences within ± margin do not matter, in the unit of the values
    (a fraction for "%"). adjusted_p: Holm's p of this comparison within its family.
    2 to 4 pairs: the interval decides, Holm's p may take its word back, and no p is named. From 5: t-interval and
    t-test. From 8: the sign-flip test must agree too. An interval wholly within the margin is "equivalent", whether or
    not it contains 0.
    Raises ConfigError if the margin is not positive.
    """
    if margin is not None and not margin > 0:
        raise ConfigError(f"the margin of equivalence is {margin}, not above 0")
    if difference.mean is None:
        return Verdict("no pairs", f"No seed was run by both arms, so they cannot be compared.{_lonely(difference)}")
    lead = _lead(difference.mean, unit)
    tail = _lonely(difference)
    if difference.n == 1:
        return Verdict("one seed", f"{lead} in the one seed that both ran; one seed allows no verdict.{tail}")
    if difference.sd == 0.0:
        word, reason = _identical(difference, better, margin)
        return Verdict(word, f"{lead} in each of {difference.n} pairs, {reason}.{tail}")
    word, reason = _word(difference, better, margin, adjusted_p, unit)
    return Verdict(word, f"{lead} ({_evidence(difference, adjusted_p, unit)}): {reason}.{tail}")


def _lead(mean: float, unit: str) -> str:
    if mean == 0:
        return "The same"
    return f"{quantity(abs(mean), unit, difference=True)} {'higher' if mean > 0 else 'lower'}"


def _lonely(difference: Difference) -> str:
    """Which runs could not be paired."""
    parts = []
    for keys, arm in ((difference.unmatched_a, "this arm"), (difference.unmatched_b, "the baseline")):
        if keys:
            parts.append(f"only {arm} has {', '.join(str(k) for k in keys)}")
    return f" Left out, for want of a partner: {'; '.join(parts)}." if parts else ""


def _evidence(difference: Difference, adjusted_p: float | None, unit: str) -> str:
    if difference.low is None or difference.high is None:
        return f"n = {difference.n} pairs"
    ends = between(difference.low, difference.high, unit, signed=True, difference=True)
    parts = [f"{100 * difference.level:g} % t-interval {ends}, n = {difference.n} pairs"]
    if difference.n >= TEST_FROM and difference.p is not None:
        adjusted = "" if adjusted_p is None else f", {probability(adjusted_p)} after Holm's correction"
        parts.append(f"paired t-test {probability(difference.p)}{adjusted}")
    if difference.sign_flip is not None:
        parts.append(f"sign-flip test {probability(difference.sign_flip)}")
    return "; ".join(parts)


def _good(mean: float, better: str) -> Literal["better", "worse"]:
    return "better" if (mean > 0) == (better == "higher") else "worse"


def _identical(difference: Difference, better: str, margin: float | None) -> tuple[Word, str]:
    """Every pair differs by the same amount: a t-interval of width zero would be false certainty."""
    mean = difference.mean or 0.0
    unknown = "so the spread over seeds cannot be estimated and there is no interval"
    if difference.p == 1.0:
        return ("equivalent", "which is within any margin") if margin is not None else ("no clear difference", unknown)
    if difference.sign_flip is not None and difference.sign_flip <= 1 - difference.level:
        word = _good(mean, better)
        return word, f"{unknown}, but the sign-flip test gives {probability(difference.sign_flip)}: {word}"
    return "no clear difference", unknown


def _word(
    difference: Difference, better: str, margin: float | None, adjusted_p: float | None, unit: str
) -> tuple[Word, str]:
    low, high, mean = difference.low, difference.high, difference.mean
    if low is None or high is None or mean is None:
        raise ConfigError("a difference without an interval has no verdict")
    alpha = 1 - difference.level
    if margin is not None and -margin <= low and high <= margin:
        bound = quantity(margin, unit, difference=True)
        return "equivalent", f"equivalent, as the interval lies wholly within ±{bound}"
    if low <= 0 <= high:
        return "no clear difference", f"no clear difference, as the interval contains 0{_blind(difference, unit)}"
    if adjusted_p is not None and adjusted_p > alpha:
        family = "all comparisons with the baseline are counted together (Holm)"
        return "no clear difference", f"the interval leaves 0 out, but no clear difference is left when {family}"
    if difference.sign_flip is not None and difference.sign_flip > alpha:
        return "no clear difference", "the t-interval leaves 0 out, but the sign-flip test does not agree"
    word = _good(mean, better)
    few = f"; {difference.n} pairs are too few for a test" if difference.n < TEST_FROM else ""
    return word, f"{word}, as the interval leaves 0 out{few}"


def _blind(difference: Difference, unit: str) -> str:
    smallest = mde(difference.sd or 0.0, difference.n)
    if smallest is None:
        return ""
    shown = quantity(smallest, unit, difference=True)
    return f"; with this spread, {difference.n} pairs would miss most differences below {shown} (80 % power)"
