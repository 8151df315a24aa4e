"""What each term of a sum of losses does to the weights: without it a loss ablation is a hidden learning-rate change.

At a few updates of every epoch each term's gradient over all trained parameters is taken alone: its norm, its share of
all norms, and its cosine with the others. With `balance: gradient_norm` the factors of the sum are set anew at those
updates, so that the terms pull in proportion to their coefficients and not to their units.

Source: the idea of balancing gradient norms is that of GradNorm (Chen et al. 2018, arXiv:1711.02257). Differs: nothing
is learnt; the factors are computed from the norms that were measured, and the sum of the weighted norms stays what it
was with the coefficients alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .assembly import WeightedLoss

PROBES = 4
"""Updates of an epoch at which gradients are taken term by term; each costs one more backward pass a term."""


class Ledger:
    """Keeps the factors of the terms and measures their gradients, epoch by epoch.

    The factors of an epoch depend on nothing but that epoch, since its first update is measured: a resumed trial needs
    no state of them.
    """

    def __init__(self, keys: Sequence[str], coefficients: Sequence[float], balance: bool, steps: int) -> None:
        self._keys, self._coefficients = tuple(keys), tuple(coefficients)
        self._balance = balance
        self._due = {round(i * steps / PROBES) for i in range(PROBES)} if len(self._keys) > 1 else set()
        self.factors = list(self._coefficients)
        self._seen: dict[str, list[float]] = defaultdict(list)

    @classmethod
    def of(cls, losses: Sequence[WeightedLoss], balance: bool, steps: int) -> Ledger:
        """Of a trial's loss, with so many updates an epoch."""
        return cls([t.key for t in losses], [t.coefficient for t in losses], balance, steps)

    @property
    def active(self) -> bool:
        """Is there more than one term to compare?"""
        return bool(self._due)

    def begin_epoch(self) -> None:
        self.factors = list(self._coefficients)
        self._seen.clear()

    def observe(self, step: int, terms: Sequence[Tensor], model: nn.Module) -> None:
        """Measure, if this update (from 0) is one of those; the graph of `terms` stays usable."""
        if step not in self._due:
            return
        gram = gradients_gram(terms, [p for p in model.parameters() if p.requires_grad])
        norms = gram.diagonal().clamp(min=0).sqrt().tolist()
        if self._balance:
            self.factors = balanced(self._coefficients, norms)
        weighted = [f * n for f, n in zip(self.factors, norms, strict=True)]
        whole = sum(weighted)
        for i, key in enumerate(self._keys):
            self._note(f"{key}/weight", self.factors[i])
            self._note(f"{key}/norm", weighted[i])
            if whole > 0:
                self._note(f"{key}/share", weighted[i] / whole)
            for j in range(i + 1, len(self._keys)):
                if norms[i] > 0 and norms[j] > 0:
                    cosine = float(gram[i, j]) / (norms[i] * norms[j])
                    self._note(f"{key}~{self._keys[j]}/cosine", max(-1.0, min(1.0, cosine)))

    def total(self, terms: Sequence[Tensor]) -> Tensor:
        """The weighted sum that is minimised."""
        total = self.factors[0] * terms[0]
        for factor, term in zip(self.factors[1:], terms[1:], strict=True):
            total = total + factor * term
        return total

    def values(self) -> dict[str, float]:
        """Means over the epoch's measurements: `ledger/<term>/weight` and so on."""
        return {f"ledger/{key}": sum(seen) / len(seen) for key, seen in self._seen.items()}

    def _note(self, key: str, value: float) -> None:
        self._seen[key].append(value)


def balanced(coefficients: Sequence[float], norms: Sequence[float]) -> list[float]:
    """Factors under which term k has the norm c_k * S / sum(c), where S = sum(c_j * norm_j) is kept.

    A term without a gradient keeps its coefficient and takes no part. A norm below 1 % of the largest counts as 1 %, so
    that a term which happens to be flat at this update does not rule the next ones.
    """
    least = 0.01 * max(norms, default=0.0)
    norms = [max(n, least) if n > 0 else 0.0 for n in norms]
    live = [(c, n) for c, n in zip(coefficients, norms, strict=True) if n > 0]
    if not live:
        return list(coefficients)
    share = sum(c * n for c, n in live) / sum(c for c, _ in live)
    return [c * share / n if n > 0 else c for c, n in zip(coefficients, norms, strict=True)]


def gradients_gram(terms: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> Tensor:
    """[K, K] float64: inner products of the terms' gradients over all parameters; a missing gradient is zero."""
    found: list[Sequence[Tensor | None]] = []
    for term in terms:
        if not term.requires_grad:
            found.append([None] * len(parameters))
            continue
        found.append(torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True))
    gram = torch.zeros(len(terms), len(terms), dtype=torch.float64)
    for i, first in enumerate(found):
        for j in range(i, len(found)):
            parts = [
                (a * b).sum(dtype=torch.float64)
                for a, b in zip(first, found[j], strict=True)
                if a is not None and b is not None
            ]
            gram[i, j] = gram[j, i] = torch.stack(parts).sum().cpu() if parts else 0.0
    return gram
