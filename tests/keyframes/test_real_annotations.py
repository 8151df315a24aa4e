"""TVSum's real annotations, where HARNESS_DATA has them: the published human row, and what else is known of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from harness.tasks.keyframes import TVSUM_BOUND, TVSUM_FLAT, Keyframes
from harness_datasets.tvsum import Tvsum

pytestmark = pytest.mark.data

STEP = 15
HUMAN, OTHERS, ORACLE = (0.2042, 0.1774), (0.396, 0.314), (0.473, 0.378)
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def root() -> Path:
    found = Path(os.environ.get("HARNESS_DATA", ""))
    if "HARNESS_DATA" not in os.environ or not (found / "tvsum" / "ydata-tvsum50-anno.tsv").exists():
        pytest.skip("no tvsum/ydata-tvsum50-anno.tsv below HARNESS_DATA")
    return found


@pytest.fixture(scope="module")
def annotations(root: Path) -> dict[str, Array]:
    """Video's id -> [20, T], of every 15th frame."""
    rows: dict[str, list[Array]] = {}
    for line in (root / "tvsum" / "ydata-tvsum50-anno.tsv").read_text().splitlines():
        video, _, scores = line.split("\t")
        rows.setdefault(video, []).append(np.array(scores.split(","), np.float32)[::STEP])
    return {video: np.stack(found) for video, found in rows.items()}


class Annotated:
    """A split of annotations alone."""

    def __init__(self, annotations: Mapping[str, Array]) -> None:
        self.ids = list(annotations)
        self._rows = list(annotations.values())
        self.lengths = [r.shape[1] for r in self._rows]

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, index: Sequence[int], draw: int) -> dict[str, Tensor]:
        (i,) = index
        target = torch.from_numpy((self._rows[i].mean(axis=0) - 1) / 4)
        return {"target": target[None], "mask": torch.ones(1, len(target), dtype=torch.bool)}

    def resident(self) -> None:
        return None

    def extras(self, i: int) -> dict[str, Array]:
        return {"annotators": self._rows[i]}


@pytest.fixture(scope="module")
def floors(annotations: Mapping[str, Array]) -> dict[str, Mapping[str, float]]:
    task = Keyframes()
    return {name: task.summarise(items) for name, items in task.floors(Annotated(annotations)).items()}


def test_the_annotations_are_those_that_the_published_numbers_are_about(annotations: Mapping[str, Array]):
    lengths = [a.shape[1] for a in annotations.values()]
    assert (len(lengths), sum(lengths), min(lengths), max(lengths)) == (50, 23510, 167, 1294)
    assert {a.shape[0] for a in annotations.values()} == {20}
    assert all(np.ptp(row) > 0 for a in annotations.values() for row in a)  # no correlation is undefined


def test_the_human_row_has_the_published_values(floors: Mapping[str, Mapping[str, float]]):
    assert (floors["human"]["spearman"], floors["human"]["kendall"]) == pytest.approx(HUMAN, abs=1e-4)
    assert (floors["human"]["spearman_mean"], floors["human"]["kendall_mean"]) == pytest.approx(OTHERS, abs=1e-3)
    assert floors["human"]["precision15"] == pytest.approx(0.356, abs=1e-3)


def test_the_oracle_and_the_middle_of_the_video_have_the_known_values(floors: Mapping[str, Mapping[str, float]]):
    assert (floors["oracle"]["spearman"], floors["oracle"]["kendall"]) == pytest.approx(ORACLE, abs=5e-4)
    assert floors["oracle"]["spearman_mean"] == pytest.approx(1)
    assert floors["position"]["spearman"] == pytest.approx(0.130, abs=5e-4)


def test_chance_is_nothing_in_rank_and_the_budget_in_precision(floors: Mapping[str, Mapping[str, float]]):
    assert floors["random"]["spearman"] == pytest.approx(0, abs=0.003)  # 20 draws of SD 0.004 each
    assert floors["random"]["kendall"] == pytest.approx(0, abs=0.003)
    assert floors["random"]["precision15"] == pytest.approx(0.151, abs=0.005)
    assert floors["constant"]["precision15"] == pytest.approx(0.1516, abs=1e-4)
    assert floors["constant"]["undefined"] == 1


def test_a_loop_over_scipy_gives_the_same_numbers_for_a_prediction(annotations: Mapping[str, Array]):
    task, few = Keyframes(), dict(list(annotations.items())[:6])
    split, generator = Annotated(few), torch.Generator().manual_seed(1)
    rho, tau, found = [], [], []
    for i, rows in enumerate(few.values()):
        logits = torch.randn(1, rows.shape[1], generator=generator) + torch.from_numpy(rows.mean(axis=0))
        batch = {**split.batch([i], 0), "index": torch.tensor([i])}
        found.append(task.measure({"logits": logits}, batch, [split.extras(i)]).values)
        rho.append(np.mean([stats.spearmanr(logits[0].numpy(), row).statistic for row in rows]))
        tau.append(np.mean([stats.kendalltau(logits[0].numpy(), row).statistic for row in rows]))
    assert [v["spearman"][0] for v in found] == pytest.approx(rho, abs=1e-6)
    assert [v["kendall"][0] for v in found] == pytest.approx(tau, abs=1e-6)


def test_what_is_remarked_about_claims_is_true_of_the_annotations(annotations: Mapping[str, Array]):
    bounds, flat = [], []
    for rows in annotations.values():
        ranks = stats.rankdata(rows, axis=1)
        ranks -= ranks.mean(axis=1, keepdims=True)
        ranks /= np.linalg.norm(ranks, axis=1, keepdims=True)
        bounds.append(np.linalg.norm(ranks.mean(axis=0)))  # the correlation of the best vector, were it any ranking
        flat.append(((rows.mean(axis=0) - 1) / 4).var())
    assert np.mean(bounds) == pytest.approx(TVSUM_BOUND, abs=5e-4)
    assert np.mean(flat) == pytest.approx(TVSUM_FLAT, abs=5e-5)


def test_the_data_set_gives_the_same_rows_over_its_five_folds(root: Path, floors: Mapping[str, Mapping[str, float]]):
    task = Keyframes()
    info = Tvsum.describe(root, inputs="clock")
    task.io(info)
    data = Tvsum(root, inputs="clock")
    found = [task.floors(data.split("test", fold)) for fold in range(5)]
    assert len({i for fold in found for i in fold["human"].ids}) == 50
    for name in ("human", "oracle", "position"):
        for metric in ("spearman", "kendall", "spearman_mean", "precision15", "mse"):
            values = np.concatenate([fold[name].values[metric] for fold in found])
            assert len(values) == 50
            assert values.mean() == pytest.approx(floors[name][metric], abs=1e-6), (name, metric)
    scores = {name: np.mean([task.summarise(fold[name])["fscore"] for fold in found]) for name in found[0]}
    assert scores["random"] < scores["human"] < scores["oracle"]
