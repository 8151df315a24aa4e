"""Losses that fail, for tests of failed records."""

from __future__ import annotations

from torch import Tensor


class Loss:
    expects = "logits"

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return output.sum() * (1 / 0)


class Nondeterministic:
    """Raises what PyTorch raises on CUDA; there the message comes from the kernel, which a CPU does not have."""

    expects = "logits"

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        raise RuntimeError(
            "kthvalue CUDA does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'."
        )


class Leaving:
    """Ends the process, as a script that was never meant to be imported would."""

    expects = "logits"

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        raise SystemExit(0)
