"""The convolutional LSTM and the plain stack that it is usually compared with.

Paper: Shi et al. 2015, "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting",
arXiv:1506.04214. See `harness_models.predictor` for the model, `harness_models.recurrent` for the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from harness.contracts import IO
from harness.errors import ConfigError
from harness_models.predictor import FramePredictor


def convlstm(
    io: IO,
    hidden: tuple[int, ...] = (64, 64, 64),
    kernels: int | tuple[int, ...] = (5, 3, 1),
    norm: Literal["batch", "none"] = "batch",
    gating: bool = True,
    peephole: bool = False,
    patch: int = 1,
    head: Literal["conv3d", "conv2d"] = "conv3d",
    head_kernel: int = 3,
    temporal_padding: Literal["causal", "same"] = "causal",
    forecaster: bool = False,
) -> FramePredictor:
    """A stack of convolutional LSTM layers, with batch normalisation behind each, and a head that makes frames.

    hidden: channels of each layer. kernels: their odd kernel sizes, of input and hidden convolution alike; one number
    serves all layers. norm: batch normalisation of each layer's hidden states, over all frames, or none. gating: false
    makes it the plain recurrent convolution h_t = tanh(W_x * x_t + W_h * h_{t-1} + b). peephole: Shi's W_ci ∘ c,
    W_cf ∘ c and W_co ∘ c, 3·C·h·w weights a layer with h = H / patch and w = W / patch, so that the weights fit one
    frame size only. patch: pixels a side that become channels before the first layer and pixels again behind the head
    (OpenSTL's patch_size). head: conv3d smooths space and time, conv2d each frame by itself. temporal_padding (of
    conv3d): causal reads the present and the past; same, the common form, reads (head_kernel - 1) / 2 later frames,
    which in next-frame prediction are the answers. forecaster: in a rollout, a second stack that starts from the states
    of the first and reads no frame, instead of predictions that are fed back.

    746,561 trainable parameters with one channel and the defaults. Weights start as PyTorch's convolutions do,
    forget gates' bias at 1, peepholes at 0. Raises ConfigError for options that do not fit each other or the clips.
    """
    sizes = _per_layer(hidden, kernels)
    _check_peephole(gating, peephole)
    return FramePredictor(
        io,
        hidden,
        sizes,
        [norm == "batch"] * len(hidden),
        gating=gating,
        peephole=peephole,
        patch=patch,
        head=head,
        head_kernel=_odd("head_kernel", head_kernel),
        temporal_padding=temporal_padding,
        forecaster=forecaster,
        notes=_reading_ahead(io, head, head_kernel, temporal_padding),
    )


def convlstm_baseline(
    io: IO, hidden: int = 64, temporal_padding: Literal["causal", "same"] = "causal"
) -> FramePredictor:
    """The plain reference stack: three layers (5x5, 3x3, 1x1) with relu, batch normalisation behind the first two, and
    a Conv3d (3x3x3).

    Source: keras-io, examples/vision/conv_lstm.py. Its layers use relu for the candidate and for the cell's output, and
    a sigmoid for the gates. With 64 channels and grey frames it has 746,433 trainable parameters; Keras says 746,689
    and counts the 2·2·64 = 256 moving means and variances of the two norms as well.
    Differs: the published form is `temporal_padding: same`, whose Conv3D reads the frame to be predicted; the default
    is causal. Initial weights, momentum and epsilon of the norms are PyTorch's. The sigmoid is in loss and metrics.
    """
    return FramePredictor(
        io,
        _counts("hidden", [hidden] * 3),
        (5, 3, 1),
        (True, True, False),
        activation="relu",
        temporal_padding=temporal_padding,
        notes=_reading_ahead(io, "conv3d", 3, temporal_padding),
    )


def _per_layer(hidden: Sequence[int], kernels: int | Sequence[int]) -> list[int]:
    """The kernel size of each layer. Raises ConfigError."""
    _counts("hidden", hidden)
    kernels = (kernels,) if isinstance(kernels, int) else kernels
    if len(kernels) not in (1, len(hidden)):
        raise ConfigError(
            f"model: hidden {list(hidden)} makes {len(hidden)} layers, and kernels {list(kernels)} are {len(kernels)}",
            hint="write one kernel size for all layers (kernels: 3), or a list with one for each",
        )
    sizes = [_odd("kernels", kernel) for kernel in kernels]
    return sizes * len(hidden) if len(sizes) == 1 else sizes


def _counts(option: str, values: Sequence[int]) -> Sequence[int]:
    if not values or min(values) < 1:
        raise ConfigError(
            f"model: {option} is {list(values)}", hint="give each layer at least one channel: [64, 64, 64]"
        )
    return values


def _odd(option: str, value: int) -> int:
    if value < 1 or value % 2 == 0:
        raise ConfigError(
            f"model: {option} has {value}", hint="kernel sizes are odd and positive, so that the window has a middle"
        )
    return value


def _check_peephole(gating: bool, peephole: bool) -> None:
    if peephole and not gating:
        raise ConfigError("model: peephole is true and gating is false", hint="peepholes look from the cell into gates")


def _reading_ahead(io: IO, head: str, kernel: int, padding: str) -> list[str]:
    if io.horizon or head != "conv3d" or padding != "same" or kernel == 1:
        return []
    ahead = (kernel - 1) // 2
    frames = "one later frame" if ahead == 1 else f"{ahead} later frames"
    return [f"the Conv3d head pads time on both sides (temporal_padding: same), so each output reads {frames}"]
