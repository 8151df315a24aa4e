"""The task of keyframes: what a model is shown, what is measured of videos of any length, and who stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from harness.arrays import read_figures, write_figures, write_items
from harness.contracts import DatasetInfo, Frames, Items, Spec
from harness.errors import ConfigError, DataError
from harness.tasks.keyframe_scores import scale
from harness.tasks.keyframes import Keyframes, binned

LENGTHS = (40, 31, 7, 12)
METRICS = {"spearman", "kendall", "spearman_mean", "kendall_mean", "mse", "precision15", "fscore", "undefined"}


def info(**specs: Spec) -> DatasetInfo:
    own = {"mask": Spec("T", (None,), "bool"), "target": Spec("T", (None,), "float32")}
    return DatasetInfo("f", {**own, **specs}, {}, ("cats", "dogs", "birds"))


FRAMES = info(inputs=Spec("TCHW", (None, 3, 8, 8), "uint8", scaled=False, rate=2.0))
FEATURES = info(features=Spec("TK", (None, 5), "float32", rate=2.0))


class Videos:
    """A split of videos with five annotators who rate from 1 to 5; every video's `drop`ped extras are missing."""

    def __init__(self, lengths: Sequence[int] = LENGTHS, drop: Sequence[str] = ()) -> None:
        generator = np.random.default_rng(1)
        self.lengths = lengths
        self.ids = [f"video {i}" for i in range(len(lengths))]
        self.annotators = [generator.integers(1, 6, (5, n)).astype(np.float32) for n in lengths]
        self._drop = drop

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, index: Sequence[int], draw: int) -> dict[str, Tensor]:
        target = torch.zeros(len(index), max(self.lengths[i] for i in index))
        mask = torch.zeros(target.shape, dtype=torch.bool)
        for b, i in enumerate(index):
            target[b, : self.lengths[i]] = torch.from_numpy((self.annotators[i].mean(axis=0) - 1) / 4)
            mask[b, : self.lengths[i]] = True
        return {"target": target, "mask": mask, "index": torch.tensor(list(index))}

    def resident(self) -> None:
        return None

    def extras(self, i: int) -> Mapping[str, np.ndarray[Any, Any]]:
        n = self.lengths[i]
        starts = np.arange(0, 15 * n, 20)
        found = {
            "annotators": self.annotators[i],
            "picks": np.arange(0, 15 * n, 15),
            "n_frames": np.int64(15 * n),
            "times": np.arange(n) / 2,
            "change_points": np.stack([starts, np.append(starts[1:] - 1, 15 * n - 1)], axis=1),
            "category": np.int64(i % 2),
        }
        return {k: np.asarray(v) for k, v in found.items() if k not in self._drop}


class Lean(Videos):
    """Its frames cannot be decoded."""

    def keys(self) -> Sequence[str]:
        return self.ids

    def frames(self, i: int) -> Any:
        raise NotImplementedError

    def lean(self, index: Sequence[int], draw: int) -> dict[str, Tensor]:
        return super().batch(index, draw)

    def batch(self, index: Sequence[int], draw: int) -> dict[str, Tensor]:
        raise NotImplementedError


def logits(videos: Videos, seed: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, generator=generator) for n in videos.lengths]


def measured(task: Keyframes, videos: Videos, predicted: Sequence[Tensor], **more: Tensor) -> Items:
    """All videos in one padded batch, with rubbish where it is padded."""
    batch = videos.batch(range(len(videos)), 0)
    output = torch.full(batch["target"].shape, 99.0)
    for row, own in zip(output, predicted, strict=True):
        row[: len(own)] = own
    extras = [videos.extras(i) for i in range(len(videos))]
    items = task.measure({"logits": output, **more}, batch, extras)
    return Items(tuple(videos.ids), items.values, items.ragged)


def row(items: Items, name: str, i: int) -> np.ndarray[Any, Any]:
    flat, offsets = items.ragged[name]
    return flat[offsets[i] : offsets[i + 1]]


@pytest.mark.parametrize(("known", "key"), [(FRAMES, "inputs"), (FEATURES, "features")])
def test_frames_or_features_go_in_and_a_logit_a_frame_comes_out(known: DatasetInfo, key: str):
    io = Keyframes().io(known)
    assert io.inputs == {key: known.specs[key], "mask": Spec("T", (None,), "bool")}
    assert io.outputs == {"logits": Spec("T", (None,), "float32")}
    assert (io.horizon, io.sees) == (0, None)


@pytest.mark.parametrize(
    "known",
    [
        info(),
        info(inputs=Spec("CHW", (3, 8, 8), "uint8")),
        DatasetInfo("f", {"inputs": Spec("TCHW", (20, 1, 64, 64), "uint8")}, {}),
        DatasetInfo("f", {"inputs": Spec("CHW", (3, 8, 8), "uint8"), "target": Spec("", (), "int64")}, {}),
    ],
)
def test_data_without_a_score_a_frame_are_refused_with_the_names_of_data_that_fit(known: DatasetInfo):
    with pytest.raises(ConfigError) as caught:
        Keyframes().io(known)
    assert all(name in str(caught.value.hint) for name in ("tvsum", "summe", "scored_videos", "toy_videos"))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_is_no_part_of_a_video_is_refused(share: float):
    with pytest.raises(ConfigError, match="share is"):
        Keyframes(share=share)


def test_the_precision_is_named_by_its_share():
    assert [m.name for m in Keyframes(share=0.125).metrics if m.name.startswith("prec")] == ["precision12.5"]


def test_the_model_is_never_shown_a_target_and_is_asked_to_explain_the_first_videos_alone():
    batch = {key: torch.zeros(5, 4) for key in ("inputs", "mask", "target", "position")} | {"index": torch.arange(5)}
    shown = Keyframes().present(batch)
    assert set(shown) == {"inputs", "mask", "explain"}
    assert shown["explain"].tolist() == [True, True, True, False, False]
    cached = {**batch, "features": torch.zeros(5, 4, 3)}
    del cached["inputs"]
    assert set(Keyframes().present(cached)) == {"features", "mask", "explain"}


def test_a_loss_gets_logits_or_scores_beside_target_and_mask():
    batch = Videos().batch([0, 1], 0)
    output = {"logits": torch.zeros(2, 40, dtype=torch.bfloat16)}
    for expects, value in (("unit", 0.5), ("logits", 0.0)):
        got, target, mask = Keyframes().pair(output, batch, expects)
        assert bool((got == value).all())
        assert got.dtype == target.dtype == torch.float32
        assert mask is batch["mask"]


def test_metrics_are_those_of_loops_over_videos_and_annotators():
    task, videos = Keyframes(), Videos()
    predicted = logits(videos)
    found = task.summarise(measured(task, videos, predicted))
    expected: dict[str, list[float]] = {}
    for own, annotators in zip(predicted, videos.annotators, strict=True):
        x, mean = own.numpy().astype(np.float64), annotators.astype(np.float64).mean(axis=0)
        rho, tau = ([f(x, a).statistic for a in annotators] for f in (stats.spearmanr, stats.kendalltau))
        error = 1 / (1 + np.exp(-x)) - (mean - 1) / 4
        for name, value in (
            ("spearman", np.mean(rho)),
            ("kendall", np.mean(tau)),
            ("spearman_mean", stats.spearmanr(x, mean).statistic),
            ("kendall_mean", stats.kendalltau(x, mean).statistic),
            ("mse", np.mean(error**2)),
        ):
            expected.setdefault(name, []).append(float(value))
    for name, values in expected.items():
        assert found[name] == pytest.approx(np.mean(values), abs=1e-6), name


def test_every_number_has_a_metric_with_a_definition_and_every_metric_a_number():
    task, videos = Keyframes(), Videos()
    items = measured(task, videos, logits(videos))
    found = task.summarise(items)
    assert set(found) == {m.name for m in task.metrics} == METRICS
    assert all(len(m.definition) > 40 for m in task.metrics)
    for name, value in found.items():
        assert items.values[name].dtype == np.float64
        assert float(items.values[name].mean()) == pytest.approx(value, abs=1e-12)


def test_padding_changes_no_bit_of_any_video():
    task, videos = Keyframes(), Videos()
    predicted = logits(videos)
    together = measured(task, videos, predicted)
    for i, own in enumerate(predicted):
        alone = task.measure({"logits": own[None]}, videos.batch([i], 0), [videos.extras(i)])
        for name, value in alone.values.items():
            assert value[0] == together.values[name][i], name
        for name in alone.ragged:
            assert np.array_equal(row(alone, name, 0), row(together, name, i)), name
    assert together.values["frames"].tolist() == list(LENGTHS)
    assert together.values["category"].tolist() == [0, 1, 0, 1]
    assert np.array_equal(row(together, "truth", 1), ((videos.annotators[1].mean(axis=0) - 1) / 4).astype(np.float32))
    assert np.array_equal(row(together, "predicted", 2), predicted[2].sigmoid().numpy())
    assert row(together, "times", 3).tolist() == (np.arange(12) / 2).tolist()


def test_the_mean_of_the_annotators_as_prediction_is_best_against_the_mean():
    task, videos = Keyframes(), Videos()
    perfect = [torch.from_numpy(a.mean(axis=0) / 6).logit() for a in videos.annotators]
    found = task.summarise(measured(task, videos, perfect))
    assert found["spearman_mean"] == pytest.approx(1)
    assert found["kendall_mean"] == pytest.approx(1)
    assert 0 < found["spearman"] < 1
    negative = task.summarise(measured(task, videos, [-p for p in perfect]))
    assert negative["spearman"] == pytest.approx(-found["spearman"])


def test_a_constant_prediction_counts_as_zero_and_is_counted():
    task, videos = Keyframes(), Videos()
    predicted = [torch.full((n,), 0.7) if n > 20 else torch.arange(float(n)) for n in LENGTHS]
    items = measured(task, videos, predicted)
    assert items.values["undefined"].tolist() == [1, 1, 0, 0]
    assert items.values["spearman"][:2].tolist() == [0, 0]
    assert task.summarise(items)["undefined"] == 0.5


def test_logits_that_a_sigmoid_cannot_tell_apart_are_still_ranked():
    task, videos = Keyframes(), Videos()
    order = logits(videos)
    plain = task.summarise(measured(task, videos, order))
    far = task.summarise(measured(task, videos, [o + 50 for o in order]))
    assert far["undefined"] == 0
    assert far["spearman"] == pytest.approx(plain["spearman"], abs=0.02)


def test_a_prediction_that_is_no_number_makes_the_trials_numbers_none():
    task, videos = Keyframes(), Videos()
    predicted = logits(videos)
    predicted[1][3] = float("nan")
    assert not np.isfinite(task.summarise(measured(task, videos, predicted))["spearman"])


def test_without_shots_there_is_no_f_score_and_everything_else():
    task, videos = Keyframes(), Videos(drop=("change_points",))
    found = task.summarise(measured(task, videos, logits(videos)))
    assert set(found) == METRICS - {"fscore"}
    floors = task.floors(videos)
    assert all(set(task.summarise(items)) == METRICS - {"fscore"} for items in floors.values())


def test_without_annotators_the_target_is_the_only_one_and_nobody_is_compared_with_it():
    task, videos = Keyframes(), Videos(drop=("annotators", "times", "category"))
    items = measured(task, videos, logits(videos))
    assert np.allclose(items.values["spearman"], items.values["spearman_mean"])
    assert items.values["category"].tolist() == [-1] * 4
    assert row(items, "times", 2).tolist() == list(range(7))
    assert set(task.floors(videos)) == {"random", "constant", "position"}


def test_users_summaries_of_the_data_set_come_before_those_of_scores():
    task, videos = Keyframes(), Videos(lengths=(40,))
    extras = dict(videos.extras(0))
    predicted = torch.zeros(1, 40)
    predicted[0, :5] = 4.0  # of shots of 20 frames, the first three and most of the fourth
    user = np.zeros((1, 600), np.uint8)
    user[0, :40] = 1
    other = np.zeros((1, 600), np.uint8)
    for users, best, expected in (
        (user, False, 2 * 40 / (80 + 40)),
        (np.concatenate([user, other]), False, 40 / 120),
        (np.concatenate([user, other]), True, 2 * 40 / (80 + 40)),
    ):
        extras |= {"user_summary": users, "best_user": np.array(best)}
        found = task.measure({"logits": predicted}, videos.batch([0], 0), [extras])
        assert found.values["fscore"][0] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["annotators", "times"])
def test_extras_of_another_length_are_refused(name: str):
    task, videos = Keyframes(), Videos(lengths=(12,))
    extras = dict(videos.extras(0))
    extras[name] = extras[name][..., :-1]
    with pytest.raises(DataError, match=f"'{name}' has 11 entries where 12 frames"):
        task.measure({"logits": torch.zeros(1, 12)}, videos.batch([0], 0), [extras])


def test_an_answer_of_another_length_is_refused():
    videos = Videos()
    with pytest.raises(ConfigError, match="answers"):
        Keyframes().measure({"logits": torch.zeros(1, 39)}, videos.batch([0], 0), [videos.extras(0)])


def test_floors_know_nothing_and_ceilings_know_the_annotators():
    task, videos = Keyframes(), Videos(lengths=(300, 200, 150))
    floors = {name: task.summarise(items) for name, items in task.floors(videos).items()}
    # The target is the annotators' mean here, so a row of its own would be that of the oracle.
    assert set(floors) == {"random", "constant", "position", "human", "oracle"}
    assert set(task.ceilings) == {"target", "human", "oracle"}
    assert all(set(found) == METRICS for found in floors.values())
    assert abs(floors["random"]["spearman"]) < 0.02
    assert floors["constant"]["undefined"] == 1
    assert floors["oracle"]["spearman_mean"] == pytest.approx(1)
    assert floors["oracle"]["mse"] == pytest.approx(0, abs=1e-9)
    target = np.concatenate([(a.mean(axis=0) - 1) / 4 for a in videos.annotators])
    errors = [np.mean(((a.mean(axis=0) - 1) / 4 - target.mean()) ** 2) for a in videos.annotators]
    assert floors["constant"]["mse"] == pytest.approx(np.mean(errors), abs=1e-6)
    middle = []
    for a in videos.annotators:
        t = -np.abs(2 * np.arange(a.shape[1]) - (a.shape[1] - 1))  # equally far from the middle: a tie
        middle.append(np.mean([stats.spearmanr(t, x).statistic for x in a]))
    assert floors["position"]["spearman"] == pytest.approx(np.mean(middle), abs=1e-6)


class Known(Videos):
    """Its target is not the annotators' mean: the first one's scores."""

    def batch(self, index: Sequence[int], draw: int) -> dict[str, Tensor]:
        batch = super().batch(index, draw)
        for b, i in enumerate(index):
            batch["target"][b, : self.lengths[i]] = torch.from_numpy((self.annotators[i][0] - 1) / 4)
        return batch


def test_a_target_that_is_not_the_annotators_mean_has_a_row_of_its_own():
    task, videos = Keyframes(), Known()
    floors = {name: task.summarise(items) for name, items in task.floors(videos).items()}
    assert floors["target"]["mse"] == pytest.approx(0, abs=1e-9)
    expected = [np.mean([stats.spearmanr(a[0], other).statistic for other in a]) for a in videos.annotators]
    assert floors["target"]["spearman"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_the_human_row_is_a_loop_over_annotators_against_the_others():
    task, videos = Keyframes(), Videos()
    found = task.floors(videos)["human"].values
    for i, a in enumerate(videos.annotators):
        a = a.astype(np.float64)
        rest = [np.delete(a, k, axis=0) for k in range(5)]
        for name, f in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
            pairs = [f(a[k], other).statistic for k in range(5) for other in rest[k]]
            assert found[name][i] == pytest.approx(np.mean(pairs), abs=1e-6)
            means = [f(a[k], rest[k].mean(axis=0).round(9)).statistic for k in range(5)]
            assert found[f"{name}_mean"][i] == pytest.approx(np.mean(means), abs=1e-6)
        errors = [np.mean((a[k] - rest[k].mean(axis=0)) ** 2) / 16 for k in range(5)]
        assert found["mse"][i] == pytest.approx(np.mean(errors), abs=1e-6)


def test_floors_decode_no_frame():
    task, videos = Keyframes(), Lean()
    assert isinstance(videos, Frames)
    lean, plain = task.floors(videos), task.floors(Videos())
    for name, items in lean.items():
        assert items.ids == tuple(videos.ids)
        for key, value in items.values.items():
            assert np.array_equal(value, plain[name].values[key]), (name, key)


def test_the_scale_of_annotators_is_that_which_makes_their_mean_the_target():
    annotators = np.random.default_rng(4).integers(1, 6, (6, 30)).astype(np.float64)
    mean = annotators.mean(axis=0)
    assert scale(annotators, ((mean - 1) / 4).astype(np.float32)) == pytest.approx((annotators - 1) / 4, abs=1e-6)
    stretched = (mean - mean.min()) / np.ptp(mean)
    expected = np.clip((annotators - mean.min()) / np.ptp(mean), 0, 1)
    assert scale(annotators, stretched) == pytest.approx(expected, abs=1e-9)
    assert scale(annotators, np.random.default_rng(5).random(30)) == pytest.approx((annotators - 1) / 4)
    assert scale(np.full((2, 3), 4.0), np.full(3, 0.5)).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("length", [5, 64, 65, 200])
def test_reduced_attention_is_a_mean_over_queries_and_a_sum_over_keys(length: int):
    weights = torch.randn(length, length, generator=torch.Generator().manual_seed(3)).softmax(dim=1).numpy()
    found, n = binned(weights), min(64, length)
    assert found.shape == (n, n)
    assert found.sum(axis=1) == pytest.approx(np.ones(n), abs=1e-5)
    owner = np.array([max(i for i in range(n) if i * length // n <= t) for t in range(length)])
    slow = [[weights[np.ix_(owner == q, owner == k)].sum(axis=1).mean() for k in range(n)] for q in range(n)]
    assert found == pytest.approx(np.array(slow), abs=1e-6)


def test_maps_of_the_first_videos_are_kept_without_their_padding():
    task, videos = Keyframes(), Videos()
    maps = {f"map_{name}": torch.rand(4, 40, 40) for name in ("local", "global")}
    items = measured(task, videos, logits(videos), **maps)
    assert items.values["map_names"].tolist() == ["map_local map_global"] * 3 + [""]
    kept = row(items, "maps", 2).reshape(2, 7, 7)
    assert kept[1] == pytest.approx(maps["map_global"][2, :7, :7].numpy(), abs=1e-6)
    assert len(row(items, "maps", 3)) == 0


def test_figures_are_curves_tables_and_maps_and_survive_the_store(tmp_path: Path):
    task, videos = Keyframes(), Videos()
    task.io(FRAMES)
    items = measured(task, videos, logits(videos), map_local=torch.rand(4, 40, 40))
    write_items(tmp_path / "items.h5", items)
    write_figures(tmp_path / "figures.h5", task.figures(items))
    figures = {f.key: f for f in read_figures(tmp_path / "figures.h5")}
    assert list(figures) == ["curves", "videos", "categories", "map_local-0", "map_local-1", "map_local-2"]

    curves = figures["curves"].data
    assert curves["x"].tolist() == (np.arange(40) / 2).tolist()
    assert np.array_equal(curves["score of video 0"], row(items, "predicted", 0))
    short = curves["reference/score of video 2"]
    assert np.array_equal(short[:7], row(items, "truth", 2))
    assert np.isnan(short[8:]).all()

    videos_ = figures["videos"].data
    assert videos_["columns"].tolist() == ["spearman", "kendall", "mse", "precision15", "fscore", "frames"]
    assert videos_["values"][3].tolist() == [
        *(items.values[m][3] for m in ("spearman", "kendall", "mse", "precision15", "fscore")),
        12,
    ]
    table = figures["categories"].data
    assert table["rows"].tolist() == ["cats", "dogs"]
    assert table["weights"].tolist() == [2, 2]
    assert table["values"][1, 0] == pytest.approx(items.values["spearman"][[1, 3]].mean())
    assert figures["map_local-1"].data["rows"].tolist()[:3] == ["0.0 s", "0.5 s", "1.0 s"]


def test_figures_of_videos_without_shots_categories_or_seconds_leave_those_out():
    task, videos = Keyframes(), Videos(drop=("change_points", "category", "times"))
    task.io(FRAMES)
    figures = {f.key: f for f in task.figures(measured(task, videos, logits(videos)))}
    assert list(figures) == ["curves", "videos"]
    assert figures["curves"].data["x_label"].tolist() == ["sampled frame"]
    assert "fscore" not in figures["videos"].data["columns"].tolist()


def test_a_long_video_is_thinned_on_its_curve():
    task, videos = Keyframes(), Videos(lengths=(1500, 10))
    figure = task.figures(measured(task, videos, logits(videos)))[0]
    assert len(figure.data["x"]) == 600
    assert np.isfinite(figure.data["score of video 0"]).all()
    assert np.isfinite(figure.data["score of video 1"]).sum() == 4  # 5 of 750 seconds


def test_numbers_that_cannot_be_true_are_named():
    task = Keyframes()
    assert task.identities({"spearman": 0.26, "kendall": 0.19, "mse": 0.02, "precision15": 0.7, "fscore": 0.62}) == []
    assert "precision15 of 150.00 %" in task.identities({"precision15": 1.5})[0]
    assert "spearman of 26" in task.identities({"spearman": 26.0})[0]
    assert "cannot be reached" in task.identities({"spearman": 0.3, "undefined": 0.8})[0]
    assert task.identities({"spearman": -0.3, "undefined": 0.5}) == []


def test_numbers_that_hint_at_another_convention_or_at_nothing_learnt_are_remarked():
    task = Keyframes()
    assert task.remarks({"spearman": 0.26, "mse": 0.012}) == []
    assert "another convention" in task.remarks({"spearman": 0.55})[0]
    assert "is no better" in task.remarks({"mse": 0.03})[0]
