"""What blocks get and give, gains of channels and places, and Grad-CAM against a slow computation of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import ConfigError
from harness.probes.gates import GateSums, entropies
from harness.probes.knockout import knocked_out
from harness.probes.looking import (
    block_of,
    cam_layer,
    channel_gain,
    grad_cam,
    observe,
    overlay,
    place_gain,
)


class Scale(nn.Module):
    def __init__(self, gate: Tensor) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(3)


class Site(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention


class Tiny(nn.Module):
    """Two convolutions with a block behind the first; the addition and the ReLU work in place, as timm's do."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, 3)
        self.sites = nn.ModuleDict({"net_first": Site(block)})

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        x = self.sites["net_first"].attention(self.first(batch["inputs"]))
        x += 1
        x = self.relu(self.second(x))
        return {"logits": self.head(x.mean(dim=(2, 3)))}


def tiny(block: nn.Module) -> Tiny:
    torch.manual_seed(0)
    return Tiny(block).eval()


def images(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def summed(x: Tensor, gate: Tensor) -> dict[str, float]:
    sums = GateSums()
    sums.add(x, x * gate)
    return sums.row()


def test_a_constant_gate_of_a_half():
    row = summed(torch.randn(4, 8, 5, 5), torch.tensor(0.5))
    wanted = {"mean": 0.5, "spread": 0, "saturated": 0, "entropy_channels": 1, "entropy_places": 1}
    assert row == pytest.approx(wanted, abs=1e-6)


def test_the_identity_is_open_everywhere_and_selects_nothing():
    row = summed(torch.randn(4, 8, 5, 5), torch.tensor(1.0))
    wanted = {"mean": 1, "spread": 0, "saturated": 1, "entropy_channels": 1, "entropy_places": 1}
    assert row == pytest.approx(wanted, abs=1e-9)


def test_gates_beyond_one_are_not_called_saturated():
    assert "saturated" in summed(torch.randn(4, 8, 5, 5), torch.rand(4, 8, 1, 1))
    row = summed(torch.randn(4, 8, 5, 5), 1 + torch.rand(4, 8, 1, 1))
    assert "saturated" not in row
    assert 1 < row["mean"] < 2


def test_what_is_added_has_no_gate():
    x = torch.randn(4, 8, 5, 5)
    sums = GateSums()
    sums.add(x, x + torch.randn(4, 8, 1, 1))
    assert sums.adds
    assert set(sums.row()) == {"entropy_channels", "entropy_places"}


def test_a_gate_that_lets_one_channel_through():
    gate = torch.zeros(1, 8, 1, 1)
    gate[0, 3] = 1
    row = summed(torch.ones(4, 8, 5, 5), gate)
    wanted = {"mean": 1 / 8, "spread": (7 / 64) ** 0.5, "saturated": 1, "entropy_channels": 0, "entropy_places": 1}
    assert row == pytest.approx(wanted, abs=1e-9)


def test_sums_over_batches_are_those_of_all_images_together():
    x, gate = torch.randn(6, 4, 3, 3), torch.rand(6, 4, 3, 3)
    parts = GateSums()
    for part in (slice(0, 4), slice(4, 6)):
        parts.add(x[part], (x * gate)[part])
    row = parts.row()
    assert row == pytest.approx(summed(x, gate))
    assert row["mean"] == pytest.approx(float(gate.mean()), abs=1e-5)
    assert row["spread"] == pytest.approx(float(gate.std(correction=0)), abs=1e-5)


def test_zeros_say_nothing_about_a_gate():
    assert GateSums().row() == {}
    assert summed(torch.zeros(2, 4, 3, 3), torch.tensor(0.5)) == {}
    half = torch.cat([torch.zeros(1, 4, 3, 3), torch.ones(1, 4, 3, 3)])
    assert summed(half, torch.tensor(0.25))["mean"] == pytest.approx(0.25)


def test_entropy_against_scipy():
    from scipy.stats import entropy

    gains = np.random.default_rng(0).normal(size=(3, 7))
    wanted = [entropy(np.abs(row)) / np.log(7) for row in gains]
    assert entropies(torch.from_numpy(gains)) == pytest.approx(wanted)


def test_gains_are_exact_for_gates_of_channels_and_of_places():
    x = torch.randn(2, 4, 5, 6)
    channels, places = torch.rand(2, 4, 1, 1), torch.rand(2, 1, 5, 6)
    torch.testing.assert_close(channel_gain(x, x * channels), channels[..., 0, 0])
    torch.testing.assert_close(place_gain(x, x * places), places[:, 0])
    assert channel_gain(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)).tolist() == [[0, 0]]


@pytest.mark.parametrize(("block", "factor"), [(Scale(torch.tensor(0.5)), 0.5), (InPlace(), 3.0)])
def test_what_is_observed_is_no_memory_that_the_network_goes_on_to_change(block: nn.Module, factor: float):
    model = tiny(block)
    wanted = model.first(images())
    with observe(model, ["net.first"]) as seen, torch.no_grad():
        model({"inputs": images()})
    x, y = seen["net.first"]
    torch.testing.assert_close(x, wanted)
    torch.testing.assert_close(y, wanted * factor)
    assert not model.sites["net_first"].attention._forward_hooks


@pytest.mark.parametrize("block", [Scale(torch.rand(1, 4, 1, 1)), InPlace()])
def test_a_block_that_is_knocked_out_is_the_identity(block: nn.Module):
    model, without = tiny(block), tiny(nn.Identity())
    with torch.no_grad():
        before = model({"inputs": images()})["logits"]
        with knocked_out(model, ["net.first"]):
            out = model({"inputs": images()})["logits"]
        torch.testing.assert_close(out, without({"inputs": images()})["logits"], rtol=0, atol=0)
        assert not torch.allclose(out, before)
        torch.testing.assert_close(model({"inputs": images()})["logits"], before, rtol=0, atol=0)


def test_a_site_without_a_block_is_an_error():
    with pytest.raises(ConfigError, match=r"no module of Tiny can be the attention of site 'layer9'"):
        block_of(tiny(nn.Identity()), "layer9")


def slow_grad_cam(model: Tiny, x: Tensor, target: int) -> Tensor:
    """One image, gradients by finite differences of the logit in each entry of the last feature map, in float64."""

    def features(x: Tensor) -> Tensor:
        return F.relu(model.second(model.sites["net_first"].attention(model.first(x)) + 1))

    with torch.no_grad():
        maps = features(x[None])[0]

        def logit(a: Tensor) -> float:
            return float(model.head(a.mean(dim=(1, 2)))[target])

        cam = torch.zeros_like(maps[0])
        for k in range(len(maps)):
            weight = 0.0
            for i in range(maps.shape[1]):
                for j in range(maps.shape[2]):
                    up, down = maps.clone(), maps.clone()
                    up[k, i, j] += 1e-3
                    down[k, i, j] -= 1e-3
                    weight += (logit(up) - logit(down)) / 2e-3
            cam += weight / maps[0].numel() * maps[k]
        cam = cam.clamp(min=0)
    return cam / cam.max() if cam.max() > 0 else cam


def test_grad_cam_is_that_of_a_slow_computation():
    model = tiny(Scale(torch.rand(1, 4, 1, 1))).double()
    x, target = images(4).double(), torch.tensor([0, 1, 2, 1])
    with torch.inference_mode():
        found = grad_cam(model, {"inputs": x}, target)
    wanted = torch.stack([slow_grad_cam(model, a, int(t)) for a, t in zip(x, target, strict=True)])
    assert found.shape == (4, 6, 6)
    assert float(wanted.max()) == 1  # at least one image has something to compare
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4)
    assert all(p.grad is None for p in model.parameters())


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm, self.head = nn.Conv2d(3, 8, 3, 3), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        x = self.norm(self.patches(batch["inputs"]).flatten(2).transpose(1, 2))
        return {"logits": self.head(x.mean(dim=1))}


class Last(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm, self.head = nn.Conv2d(3, 8, 3, 3), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"logits": self.head(self.norm(self.patches(batch["inputs"]).permute(0, 2, 3, 1)).mean(dim=(1, 2)))}


@pytest.mark.parametrize("model", [Tokens(), Last()])
def test_a_network_of_tokens_or_with_channels_last_has_no_map_to_explain(model: nn.Module):
    with pytest.raises(ConfigError, match="no feature map"):
        cam_layer(model, {"inputs": torch.rand(1, 3, 6, 6)})


def test_the_layer_of_a_residual_network_is_its_last_stage():
    import timm

    net = timm.create_model("resnet18", num_classes=4)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, batch: Any) -> Any:
            return {"logits": self.net(batch["inputs"])}

    assert cam_layer(Wrapped().eval(), {"inputs": torch.rand(1, 3, 64, 64)}) is net.layer4


def test_an_overlay_is_the_image_where_nothing_is_hot():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    drawn = overlay(image, np.zeros((8, 12)))
    assert drawn.shape == (96, 144, 3)
    np.testing.assert_array_equal(drawn[::12, ::12], image)
    hot = overlay(image, np.ones((8, 12)))
    assert hot.shape == drawn.shape
    assert np.abs(hot.astype(int) - drawn).max() > 50
    large = np.zeros((100, 120, 3), np.uint8)
    assert overlay(large, np.zeros((100, 120))).shape == large.shape
