"""Which videos are trained with, held out and tested in each fold of TVSum and SumMe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from harness.contracts import SplitName
from harness.errors import ConfigError

Splits: TypeAlias = Literal["disjoint", "canonical"]
Fold: TypeAlias = Mapping[SplitName, tuple[int, ...]]
"""Places of videos, counted from 0, sorted."""

FOLDS = 5

# Numbers of the tested videos (`video_5` is 5) in the five splits that most papers use; each trains with all others.
# Source: tvsum_splits.json and summe_splits.json of PGL-SUM (Apostolidis et al. 2021), commit 81d0d6d.
CANONICAL: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "tvsum": (
        (5, 6, 8, 14, 22, 31, 34, 38, 43, 45),
        (10, 11, 13, 15, 19, 24, 33, 44, 45, 47),
        (4, 7, 9, 16, 19, 27, 31, 32, 47, 50),
        (1, 4, 11, 17, 26, 30, 37, 43, 45, 50),
        (1, 5, 6, 11, 12, 15, 16, 36, 42, 50),
    ),
    "summe": (
        (4, 9, 16, 21, 25),
        (4, 7, 15, 18, 20),
        (9, 10, 13, 19, 23),
        (1, 13, 14, 18, 25),
        (11, 15, 22, 24, 25),
    ),
}


VIDEOS: Mapping[str, int] = {"tvsum": 50, "summe": 25}
_VAL: Mapping[str, int] = {"tvsum": 8, "summe": 5}


def folds(name: str, splits: Splits, seed: int) -> tuple[Fold, ...]:
    """Five folds of "tvsum" or "summe".

    "disjoint": every video is tested once, others are held out, both drawn with `seed`. "canonical": the published
    splits, which have no part for validation. Raises ConfigError for other splits or a negative seed.
    """
    if not 0 <= seed < 2**63:
        raise ConfigError(f"{name}: option 'split_seed' is {seed}", hint="give an integer of 0 or more")
    total = VIDEOS[name]
    if splits == "canonical":
        return tuple(_fold(total, [n - 1 for n in tested], ()) for tested in CANONICAL[name])
    if splits != "disjoint":
        raise ConfigError(f"{name}: option 'splits' is '{splits}'", hint="give 'disjoint' or 'canonical'")
    # Only the raw output of PCG64 is drawn, which NumPy keeps the same over versions.
    order = np.argsort(np.random.PCG64(seed).random_raw(total), kind="stable").tolist()
    each = total // FOLDS
    turned = [order[k * each :] + order[: k * each] for k in range(FOLDS)]
    return tuple(_fold(total, t[:each], t[each : each + _VAL[name]]) for t in turned)


def _fold(total: int, test: Sequence[int], val: Sequence[int]) -> Fold:
    train = set(range(total)) - set(test) - set(val)
    return {"train": tuple(sorted(train)), "val": tuple(sorted(val)), "test": tuple(sorted(test))}


def note(name: str, splits: Splits, seed: int) -> str:
    """A sentence for reports about what the folds are."""
    total, val, each = VIDEOS[name], _VAL[name], VIDEOS[name] // FOLDS
    if splits == "disjoint":
        return (
            f"{name}: five disjoint folds, drawn with seed {seed}, of {total - each - val} videos to train with, {val} "
            f"to choose by and {each} to test; each video is tested once"
        )
    tested = {n for some in CANONICAL[name] for n in some}
    return (
        f"{name}: the five published splits, which have no part to choose by and test {len(tested)} of the {total} "
        "videos, some of them more than once"
    )
