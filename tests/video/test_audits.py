"""The leak audit: planted leaks are found with their reach, honest models pass, and nothing is disturbed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from video import planted
from video.planted import Attending, Convolved, io

from harness import audits


@pytest.mark.parametrize("model", [Convolved(2, 0), Attending(causal=True)], ids=["causal conv", "causal attention"])
def test_a_causal_model_passes_and_every_earlier_output_was_compared(model: nn.Module):
    audit = audits.leaks(model, io(), "cpu", fresh=True)
    assert audit is not None
    assert (audit.outcome, audit.mark) == ("passed", "")
    assert audit.numbers["pairs"] == 4 * sum(range(1, 8))  # four ways of replacing a frame
    assert audit.numbers["largest_change"] == 0.0


@pytest.mark.parametrize(
    ("model", "frames"),
    [
        (Convolved(1, 1), 1),
        (Convolved(0, 2), 2),
        (Attending(causal=False), 7),
        (planted.DividedByTheClipsMaximum(), 7),
        (planted.StatisticsOverTime(), 7),
        (planted.BatchStatisticsInEvaluation(), 7),
        (planted.Rounded(), 1),
    ],
    ids=["padding same", "anti-causal", "bidirectional attention", "clip maximum", "instance norm", "batch norm",
         "threshold"],
)  # fmt: skip
def test_a_planted_leak_is_found_with_its_reach(model: nn.Module, frames: int):
    audit = audits.leaks(model, io(), "cpu", fresh=True)
    assert audit is not None
    assert audit.outcome == "failed"
    assert audit.mark == f"LEAKS {frames} frame{'' if frames == 1 else 's'}"
    assert audit.numbers["reach"] == frames
    assert audit.numbers["largest_change"] > 0


def test_a_path_that_the_first_weights_keep_shut_is_opened_before_training():
    model = planted.BehindAScaleOfZero()
    found = audits.leaks(model, io(), "cpu", fresh=True)
    assert found is not None
    assert found.mark == "LEAKS 1 frame"
    as_it_is = audits.leaks(model, io(), "cpu")
    assert as_it_is is not None
    assert as_it_is.outcome == "passed"
    assert model.scale.item() == 0.0


def test_what_a_model_may_see_is_no_leak():
    passed = audits.leaks(Convolved(1, 1), io(sees=1), "cpu")
    assert passed is not None
    assert passed.outcome == "passed"
    beyond = audits.leaks(Convolved(0, 2), io(sees=1), "cpu")
    assert beyond is not None
    assert beyond.mark == "LEAKS 1 frame"


def test_where_nothing_is_forbidden_there_is_no_audit():
    assert audits.leaks(Convolved(1, 1), io(sees=None), "cpu") is None


def test_long_clips_are_covered_by_gradients_between_the_frames_that_are_replaced():
    long = io(length=80)
    passed = audits.leaks(Convolved(2, 0), long, "cpu")
    assert passed is not None
    assert passed.outcome == "passed"
    assert "by gradient" in passed.sentence

    class OnceInAWhile(nn.Module):
        """Output 50 reads frame 52 alone: no frame of the 32 that are replaced."""

        def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            x = batch["inputs"]
            extra = torch.zeros_like(x)
            extra[:, 50] = x[:, 52]
            return {"logits": x + extra}

    assert 52 not in audits._places(80)
    found = audits.leaks(OnceInAWhile(), long, "cpu")
    assert found is not None
    assert found.outcome == "failed"


@pytest.mark.parametrize(
    "model",
    [
        planted.Noisy(),
        planted.Applied(lambda x: torch.logit(x, eps=1e-6)),
        planted.Applied(nn.functional.gelu),
        planted.Applied(planted.in_place),
    ],
    ids=["drawn noise", "copy of the last frame", "gelu", "in place"],
)
def test_an_honest_model_is_not_convicted_by_noise_layout_or_writing_in_place(model: nn.Module):
    audit = audits.leaks(model, io(size=32), "cpu", clips=digits())
    assert audit is not None
    assert audit.outcome == "passed", audit.sentence


@pytest.mark.parametrize(
    "model",
    [
        planted.Noisy(leak=True),
        planted.Counting(leak=True),
        planted.Applied(planted.behind_a_border_of_infinity),
        planted.Applied(planted.on_dark_clips_alone),
        planted.Applied(planted.following, name="frames"),
    ],
    ids=["under noise", "under a counter", "behind infinities", "on real clips alone", "under another name"],
)
def test_a_leak_is_not_hidden_by_noise_infinity_a_condition_or_a_name(model: nn.Module):
    audit = audits.leaks(model, io(size=32), "cpu", clips=digits())
    assert audit is not None
    assert audit.mark == "LEAKS 1 frame", audit.sentence


def digits() -> list[dict[str, torch.Tensor]]:
    """Two clips that are black with a bright square that moves."""
    clips = torch.zeros(2, 8, 1, 32, 32)
    for t in range(8):
        clips[0, t, 0, 3 * t : 3 * t + 9, 10:19] = 1.0
        clips[1, t, 0, 20:29, 3 * t : 3 * t + 9] = 1.0
    return [{"inputs": clip[None]} for clip in clips]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (planted.Counting(leak=False), "two equal calls"),
        (planted.Applied(planted.by_fft), "may be rounding"),
        (planted.Applied(lambda x: x * torch.nan), "NaN"),
        (planted.Applied(lambda x: x[:, :1]), "runs along the inputs' time"),
        (planted.Uncopied(), "could not be audited"),
    ],
    ids=["counter", "rounding of an FFT", "NaN", "another length", "no copy"],
)
def test_what_cannot_be_proven_is_said_to_be_unproven(model: nn.Module, words: str):
    audit = audits.leaks(model, io(), "cpu")
    assert audit is not None
    assert (audit.outcome, audit.mark) == ("unproven", "leaks not ruled out")
    assert words in audit.sentence


def test_a_clip_of_one_input_frame_has_nothing_later_to_see():
    audit = audits.leaks(Convolved(), io(length=1), "cpu")
    assert audit is not None
    assert audit.outcome == "passed"


def test_rows_are_audited_a_few_at_a_time_with_the_same_result():
    one, all_ = (audits.leaks(Convolved(1, 1), io(), "cpu", rows=n) for n in (1, 32))
    assert one is not None
    assert all_ is not None
    assert one.mark == all_.mark == "LEAKS 1 frame"
    assert one.numbers["pairs"] == all_.numbers["pairs"]


def test_frozen_weights_are_left_as_they_are():
    model = planted.BehindAScaleOfZero()
    model.scale.requires_grad_(False)
    audit = audits.leaks(model, io(), "cpu", fresh=True)
    assert audit is not None
    assert audit.outcome == "passed"


def test_the_worse_of_two_audits_counts():
    leaking, honest = (audits.leaks(m, io(), "cpu") for m in (Convolved(1, 1), Convolved(2, 0)))
    assert audits.worse(honest, leaking) is leaking
    assert audits.worse(leaking, honest) is leaking
    assert audits.worse(honest, None) is honest
    assert audits.worse(None, None) is None


def test_batch_statistics_of_training_are_told_and_not_condemned():
    audit = audits.leaks(Convolved(2, 0), io(), "cpu", training=True, fresh=True)
    assert audit is not None
    assert audit.outcome == "passed"
    assert audit.numbers["training_change"] > 0
    assert "in training mode" in audit.sentence


def test_weights_statistics_mode_and_random_stream_stay_as_they_were():
    model = Convolved().train()
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    audits.leaks(model, io(), "cpu", training=True, fresh=True)
    assert torch.equal(torch.rand(4), expected)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
