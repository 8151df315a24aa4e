"""Small models of clips: honest ones, and ones that see the future in the ways that are known from practice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.contracts import IO, Spec


def io(length: int = 8, size: int = 8, sees: int | None = 0) -> IO:
    spec = Spec("TCHW", (length, 1, size, size), "uint8")
    out = Spec("TCHW", (length, 1, size, size), "float32")
    return IO({"inputs": spec}, {"frames": out}, 0, None if sees is None else {"inputs": sees})


class Convolved(nn.Module):
    """Two convolutions over time and space. `before`, `after`: frames of padding in time."""

    def __init__(self, before: int = 2, after: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 4, 3, padding=(0, 1, 1))
        self.norm: nn.Module = nn.BatchNorm3d(4)
        self.last = nn.Conv3d(4, 1, 1)
        self.padding = (0, 0, 0, 0, before, after)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        x = self.shown(batch["inputs"]).transpose(1, 2)
        return {"logits": self.last(self.norm(self.first(F.pad(x, self.padding)))).transpose(1, 2)}

    def shown(self, clips: Tensor) -> Tensor:
        return clips


class DividedByTheClipsMaximum(Convolved):
    def shown(self, clips: Tensor) -> Tensor:
        return clips / clips.amax(dim=(1, 2, 3, 4), keepdim=True).clamp(min=1e-6)


class StatisticsOverTime(Convolved):
    """Normalised by the clip's own mean and deviation over all frames, in evaluation as well."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm3d(4)


class BatchStatisticsInEvaluation(Convolved):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(4, track_running_stats=False)


class Attending(nn.Module):
    """Attention over time: causal, or in both directions."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.embed, self.out = nn.Linear(64, 16), nn.Linear(16, 64)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.causal = causal

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        x = self.embed(batch["inputs"].flatten(2))
        length = x.shape[1]
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), 1) if self.causal else None
        mixed, _ = self.attention(x, x, x, attn_mask=mask, need_weights=False)
        return {"logits": self.out(x + mixed).reshape(batch["inputs"].shape)}


class BehindAScaleOfZero(nn.Module):
    """Reads the next frame through a branch whose scale starts at zero, as the last norm of residual blocks does."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"logits": batch["inputs"] + self.scale * following(batch["inputs"])}


class Rounded(nn.Module):
    """Reads the next frame through a threshold, which has no gradient."""

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"logits": batch["inputs"] + (following(batch["inputs"]) > 0.5).float()}


class Noisy(nn.Module):
    """Honest, but for noise that it draws anew at each call; with `leak`, it reads the next frame beneath the noise."""

    def __init__(self, leak: bool = False) -> None:
        super().__init__()
        self.leak = leak

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        x = batch["inputs"]
        return {"logits": (following(x) if self.leak else x) + 1e-3 * torch.rand(x.shape)}


class Counting(nn.Module):
    """Adds the number of its calls: no two calls agree, whatever is seeded."""

    def __init__(self, leak: bool) -> None:
        super().__init__()
        self.leak, self.calls = leak, 0

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        self.calls += 1
        x = batch["inputs"]
        return {"logits": (following(x) if self.leak else x) + 0.01 * self.calls}


def following(x: Tensor) -> Tensor:
    return torch.cat([x[:, 1:], x[:, -1:]], dim=1)


class Applied(nn.Module):
    """A function of the clip as a model."""

    def __init__(self, function: Callable[[Tensor], Tensor], name: str = "logits") -> None:
        super().__init__()
        self.function, self.name = function, name

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {self.name: self.function(batch["inputs"])}


def by_fft(x: Tensor) -> Tensor:
    """A causal running mean over time, computed by FFT as long convolutions are: honest but for rounding."""
    length = x.shape[1]
    kernel = torch.ones(length) / length
    product = torch.fft.rfft(x, 2 * length, dim=1) * torch.fft.rfft(kernel, 2 * length).view(1, -1, 1, 1, 1)
    return torch.fft.irfft(product, 2 * length, dim=1)[:, :length]


def on_dark_clips_alone(x: Tensor) -> Tensor:
    """Reads the next frame where that is mostly black with something bright in it, as moving digits are."""
    later = following(x)
    dark = (later.mean(dim=(2, 3, 4), keepdim=True) < 0.2) & (later.amax(dim=(2, 3, 4), keepdim=True) > 0.9)
    return x + later * dark


def behind_a_border_of_infinity(x: Tensor) -> Tensor:
    logits = following(x).clone()
    logits[..., 0, :] = -torch.inf
    return logits


def in_place(x: Tensor) -> Tensor:
    return x.sub_(0.5)


class Uncopied(Convolved):
    """Holds what Python cannot copy, as models with a handle or a lock do."""

    def __deepcopy__(self, memo: object) -> None:
        raise TypeError("cannot be copied")


class Foreign(Convolved):
    """A whole model as another package would bring it; its weights have five axes."""

    def __init__(self, io: IO, after: int = 0) -> None:
        super().__init__(before=2 - after, after=after)

    def groups(self) -> dict[str, nn.Module]:
        return {"backbone": self.first, "head": self.last}

    def attach(self, factory: object, placement: object) -> tuple[str, ...]:
        return ()

    def prefix(self) -> None:
        return None
