"""Global context: a mean over places with learnt weights, an MLP, and its result multiplied with or added to the input.

c = sum_hw(softmax_hw(Wk x + bk) * x) [B, C];  z = W2 relu(LN(W1 c)), W1 [m, C], W2 [C, m], both with a bias
fusion multiply: y = x * gate(z).  fusion add: y = x + z.

Source: Cao et al. 2019, "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond", arXiv:1904.11492,
section 3 (global context block).
Differs: `multiply` is the default as in timm (the paper's block is `add`), and the reduction is 16 as in the paper
(timm: 8); the layer norm's epsilon is 1e-6 as in timm (authors' code: 1e-5); the gate may be a hard sigmoid. With
`add`, W2 and its bias start at 0 as in the authors' code, so that the block starts as the identity (timm: the bias does
not); with `multiply` they start as any layer does, as in timm. bk changes nothing, because a softmax ignores it: it is
kept so that weights of others load.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import ConfigError
from harness_attention.common import Gate, bottleneck, make_gate, require_one_of

Fusion = Literal["multiply", "add"]


class GlobalContext(nn.Module):
    """Gate channels with, or add to them, an MLP over a learnt weighted mean of all places.

    `add` has no gate. Where m is 1 (C < 24 at the default) the layer norm of one value is constant, and the block no
    longer depends on its input: choose a smaller reduction there.
    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 2 C m + 3 m + 2 C + 1 parameters; m = max(1, round(C / reduction)).
    Source: arXiv:1904.11492, section 3. Differs: see the module.
    Raises: ConfigError if channels or reduction < 1, a name is unknown, or `add` is given another gate.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(
        self, channels: int, *, reduction: int = 16, fusion: Fusion = "multiply", gate: Gate = "sigmoid"
    ) -> None:
        super().__init__()
        require_one_of("gc", "fusion", fusion, ("multiply", "add"))
        made = make_gate("gc", gate)
        if fusion == "add" and gate != "sigmoid":
            raise ConfigError(
                f"attention 'gc': gate is '{gate}', and fusion 'add' has no gate",
                hint="leave gate out, or choose fusion: multiply",
            )
        width = bottleneck("gc", channels, reduction)
        self.fusion = fusion
        self.conv_attn = nn.Conv2d(channels, 1, 1)
        self.fc1 = nn.Conv2d(channels, width, 1)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.fc2 = nn.Conv2d(width, channels, 1)
        self.gate = made if fusion == "multiply" else None
        nn.init.kaiming_normal_(self.conv_attn.weight, mode="fan_in", nonlinearity="relu")
        if fusion == "add" and self.fc2.bias is not None:
            nn.init.zeros_(self.fc2.weight)
            nn.init.zeros_(self.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.conv_attn(x).flatten(1).softmax(dim=1)[:, :, None]  # [B, H W, 1]
        context = (x.flatten(2) @ weights)[..., None]  # [B, C, 1, 1]
        hidden = self.norm(self.fc1(context).flatten(1))[..., None, None]  # over the channels of one image
        z: Tensor = self.fc2(F.relu(hidden))
        if self.gate is None:
            return x + z
        scale: Tensor = self.gate(z)
        return x * scale
