"""What the gates of attention blocks do: how large, how different, how selective, how often shut or open.

No contract is asked of a block. Its *effective gate* is what it makes of its input, y / x, element by element.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..contracts import Evaluation
from .looking import channel_gain, observe, place_gain
from .opened import Opened, spread

NAME = "gates"
VERSION = 2
ITEMS = 256
AT_ONCE = 32
SMALL = 1e-6
SHUT, OPEN = 0.05, 0.95
FEW, MARGIN = 0.01, 0.01
"""So large a share of elements may lie outside of what a gate can be, and so far is not outside yet (rounding)."""
GATE, UNIT = (0.0, 2.0), (0.0, 1.0)
"""What multiplies (two branches added, or 1 + a gate, reach 2), and what can be shut or open."""

DEFINITIONS = {
    "mean": f"mean of the effective gate: output / input of the block, element by element where |input| > {SMALL:g}",
    "spread": "standard deviation of the effective gate over elements and images",
    "entropy_channels": "entropy of the gains of channels as a distribution, divided by the logarithm of their number: "
    "1 where all are alike (nothing is selected), 0 where one channel has all; mean over images",
    "entropy_places": "the same over places (height x width)",
    "saturated": f"share of elements whose effective gate is below {SHUT:g} or above {OPEN:g}; only of gates in [0, 1]",
}


@dataclass(slots=True)
class GateSums:
    """Sums over batches of one site, in double precision."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    saturated: int = 0
    no_gate: int = 0
    beyond: int = 0
    entropies: dict[str, list[float]] = field(default_factory=lambda: {"channels": [], "places": []})

    def add(self, x: Tensor, y: Tensor) -> None:
        """x, y: what a block got and gave, [B, C, H, W]."""
        x, y = x.double(), y.double()
        sure = x.abs() > SMALL
        gate = y[sure] / x[sure]
        self.count += gate.numel()
        self.total += float(gate.sum())
        self.squares += float((gate * gate).sum())
        self.saturated += int(((gate < SHUT) | (gate > OPEN)).sum())
        self.no_gate += _outside(gate, *GATE)
        self.beyond += _outside(gate, *UNIT)
        self.entropies["channels"] += entropies(channel_gain(x, y))
        self.entropies["places"] += entropies(place_gain(x, y).flatten(1))

    @property
    def adds(self) -> bool:
        """Does the block add to its input? Output / input is then no gate, and huge where the input is nearly 0."""
        return self.no_gate > FEW * self.count

    def row(self) -> dict[str, float]:
        """Empty if the block never got anything but zeros; no `saturated` of gates that go beyond [0, 1]."""
        if not self.count:
            return {}
        found: dict[str, float] = {}
        if not self.adds:
            mean = self.total / self.count
            spread = math.sqrt(max(0.0, self.squares / self.count - mean * mean))
            found = {"mean": mean, "spread": spread}
            if self.beyond <= FEW * self.count:
                found["saturated"] = self.saturated / self.count
        found |= {f"entropy_{k}": sum(v) / len(v) for k, v in self.entropies.items() if v}
        return {key: value for key, value in found.items() if math.isfinite(value)}


def _outside(gate: Tensor, low: float, high: float) -> int:
    return int(((gate < low - MARGIN) | (gate > high + MARGIN)).sum())


def entropies(gains: Tensor) -> list[float]:
    """Of every row of `gains` [B, N] that is not all 0: entropy of |gain| as a distribution, divided by ln N."""
    if gains.shape[1] < 2:
        return []
    size = gains.abs()
    share = size[size.sum(dim=1) > 0]
    share = share / share.sum(dim=1, keepdim=True)
    found: list[float] = (-torch.special.xlogy(share, share).sum(dim=1) / math.log(gains.shape[1])).tolist()
    return found


def signature(total: int, device: str) -> Mapping[str, object]:
    return {"version": VERSION, "items": min(total, ITEMS), "of": total, "device": device.partition(":")[0]}


def measure_gates(opened: Opened) -> Evaluation:
    """One pass over at most ITEMS test items, evenly spread, in fp32 and evaluation mode."""
    total = len(opened.loader.split)
    chosen = spread(total, ITEMS)
    sums = {site: GateSums() for site in opened.parts.sites}
    for start in range(0, len(chosen), AT_ONCE):
        _, shown = opened.shown(chosen[start : start + AT_ONCE])
        for site, (x, y) in looked(opened.model, opened.parts.sites, shown).items():
            if x.dim() == 4 and x.shape == y.shape:
                sums[site].add(x.cpu(), y.cpu())
    rows = {site: row for site, s in sums.items() if (row := s.row())}
    notes = [f"gates were read on {len(chosen):,} of {total:,} test items, evenly spread"]
    silent = [site for site in sums if site not in rows]
    if silent:
        notes.append(f"only zeros, or no feature map, reach the blocks of {', '.join(silent)}")
    if any(s.adds for s in sums.values()):
        notes.append("a block that adds to its input has no gate: its mean and spread are left out")
    return Evaluation(NAME, signature(total, opened.device), rows, DEFINITIONS, notes=tuple(notes))


def looked(model: nn.Module, sites: tuple[str, ...], shown: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Site -> (input, output) of its block in one forward pass over `shown`."""
    with torch.inference_mode(), observe(model, sites) as seen:
        model(shown)
    return dict(seen)
