"""Pairwise ranking: every entry should score higher than each entry with a lower target.

Logistic: log(1 + exp(-(x_i - x_j))), for t_i > t_j. Hinge: max(0, margin - (x_i - x_j)).

Source: logistic, Burges et al. 2005, "Learning to rank using gradient descent" (RankNet), ICML, whose cost this is for
pairs with a known order (target probability 1). Hinge: the ranking SVM's, Herbrich et al. 2000 and Joachims 2002.
Differs: a mean over the pairs of an item, then over items, so that a long video weighs no more than a short one.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from harness.errors import ConfigError
from harness_losses.common import masked_mean
from harness_losses.frames import exactly
from harness_losses.sequences import sequences

MARGIN = 1.0


class PairwiseRanking:
    """Mean over the pairs of an item whose targets differ, then over the items that have such pairs.

    Shapes: output [B, T] logits, target [B, T], mask [B, T] (True = real) -> scalar, float32 at least.
    Equal targets make no pair; where no item has one, the loss and its gradient are 0. Of a pair only the order of the
    targets counts, not their distance. A constant prediction costs log 2 nats (logistic) or `margin` (hinge).
    `margin`: for `hinge` alone, in logits.
    Cost: O(B T²) time and memory: two [B, T, T] are kept for the backward pass (float32, bool); 109 MiB at the peak for
    B = 4, T = 1294.
    Source, and what differs: see the module.
    Raises: ConfigError if `kind` is unknown, margin is not above 0 or set without `hinge`, or the shapes do not fit.
    """

    expects: Literal["logits", "unit"] = "logits"

    def __init__(self, *, kind: Literal["logistic", "hinge"] = "logistic", margin: float = MARGIN) -> None:
        if kind not in ("logistic", "hinge"):
            raise ConfigError(f"loss 'pairwise_ranking': kind is '{kind}'", hint="known: logistic, hinge")
        if not 0.0 < margin < math.inf:
            raise ConfigError(f"loss 'pairwise_ranking': margin is {margin:g}", hint="it is above 0; 1 is usual")
        if kind == "logistic" and margin != MARGIN:
            raise ConfigError(
                f"loss 'pairwise_ranking': margin is {margin:g}, and kind 'logistic' has none",
                hint="set kind: hinge, or leave margin out",
            )
        self.kind = kind
        self.margin = float(margin)

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        output, target, real = sequences("pairwise_ranking", output, target, mask)
        with exactly(output):
            pairs = (target[:, :, None] > target[:, None, :]) & real[:, :, None] & real[:, None, :]
            behind = output[:, None, :] - output[:, :, None]
            costs = F.softplus(behind) if self.kind == "logistic" else (behind + self.margin).relu_()
            count = pairs.sum((1, 2))
            means = costs.masked_fill(~pairs, 0.0).sum((1, 2)) / count.clamp(min=1)
            return masked_mean(means, count > 0)
