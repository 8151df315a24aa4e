"""How fast are recurrent convolutions: ours against a loop written step by step, and against one as Keras has it.

    python benchmarks/convlstm.py [--device cpu] [--threads 2] [--rounds 7] [--clock wall] [--compile]

All three are the same stack (convolutional LSTM layers, batch normalisation behind each, a causal Conv3d) with the same
weights, and first it is checked that they give the same frames and gradients. `naive` puts x and h together and runs
one convolution a step and layer; `keras-like` runs the input's and the recurrent convolution in every step, on slices
of the clip, and gates that are cut out one by one. Both are timed in PyTorch's default memory format and with
channels_last, and the faster of the two counts. Every round runs all of them in turn; a ratio is the median over rounds
of (theirs / ours within the round), so that whatever slows the machine for a while slows both. On a machine that others
use, `--threads 1 --clock processor` counts the processor's time alone.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.contracts import IO, Spec
from harness_models.convlstm import convlstm
from harness_models.predictor import FramePredictor

SHAPES = (
    # hidden, patch, batch
    ((16, 16, 16), 1, 4),
    ((32, 32, 32), 2, 4),
    ((64, 64, 64), 4, 4),
    ((16, 16, 16), 4, 8),
)
SIZE, FRAMES = 64, 19


class Loop(nn.Module):
    """The stack step by step, on the weights of `ours`."""

    def __init__(self, ours: FramePredictor, patch: int, joined: bool) -> None:
        super().__init__()
        self.patch, self.joined = patch, joined
        self.inputs = nn.ModuleList(copy.deepcopy(layer.recurrent.input) for layer in ours.layers)
        self.hiddens = nn.ModuleList(copy.deepcopy(layer.recurrent.hidden) for layer in ours.layers)
        if joined:
            for i, (x, h) in enumerate(zip(self.inputs, self.hiddens, strict=True)):
                both = nn.Conv2d(x.in_channels + h.in_channels, x.out_channels, x.kernel_size, padding=x.padding)
                with torch.no_grad():
                    both.weight.copy_(torch.cat([x.weight, h.weight], dim=1))
                    both.bias.copy_(x.bias)
                self.inputs[i] = both
            self.hiddens = nn.ModuleList()
        self.norms = nn.ModuleList(copy.deepcopy(layer.norm) for layer in ours.layers)
        taps = ours.head.weight.unflatten(0, (ours.head.kernel, -1)).transpose(0, 1).transpose(1, 2).detach()
        self.head = nn.Parameter(taps.contiguous())
        self.head_bias = nn.Parameter(ours.head.bias.detach().clone())

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        x = batch["inputs"]
        if self.patch > 1:
            x = F.pixel_unshuffle(x, self.patch)
        for i, norm in enumerate(self.norms):
            x = self.joint(i, x) if self.joined else self.keras(i, x)
            x = norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        past = self.head.shape[2] - 1
        side = self.head.shape[3] // 2
        x = F.pad(x.transpose(1, 2), (0, 0, 0, 0, past, 0))
        x = F.conv3d(x, self.head, self.head_bias, padding=(0, side, side)).transpose(1, 2)
        return {"logits": F.pixel_shuffle(x, self.patch) if self.patch > 1 else x}

    def joint(self, i: int, x: Tensor) -> Tensor:
        conv = self.inputs[i]
        channels = conv.out_channels // 4
        h = c = x.new_zeros(len(x), channels, *x.shape[-2:])
        steps = []
        for t in range(x.shape[1]):
            gates_i, gates_f, gates_o, g = conv(torch.cat([x[:, t], h], dim=1)).chunk(4, dim=1)
            c = torch.sigmoid(gates_f) * c + torch.sigmoid(gates_i) * torch.tanh(g)
            h = torch.sigmoid(gates_o) * torch.tanh(c)
            steps.append(h)
        return torch.stack(steps, dim=1)

    def keras(self, i: int, x: Tensor) -> Tensor:
        conv, recurrent = self.inputs[i], self.hiddens[i]
        n = conv.out_channels // 4
        h = c = x.new_zeros(len(x), n, *x.shape[-2:])
        steps = []
        for t in range(x.shape[1]):
            z = conv(x[:, t]) + recurrent(h)
            i_, f, o = (torch.sigmoid(z[:, k * n : (k + 1) * n]) for k in range(3))
            c = f * c + i_ * torch.tanh(z[:, 3 * n :])
            h = o * torch.tanh(c)
            steps.append(h)
        return torch.stack(steps, dim=1)


def io() -> IO:
    clip = Spec("TCHW", (FRAMES, 1, SIZE, SIZE), "float32")
    return IO({"inputs": clip}, {"logits": clip}, sees={"inputs": 0})


def contenders(hidden: tuple[int, ...], patch: int, device: str, compiled: bool) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    ours = convlstm(io(), hidden=hidden, patch=patch)
    loops = {"naive": Loop(ours, patch, joined=True), "keras-like": Loop(ours, patch, joined=False)}
    found: dict[str, nn.Module] = {"ours": ours}
    for name, loop in loops.items():
        found[name] = loop
        found[f"{name}, channels_last"] = copy.deepcopy(loop)
    for name, model in found.items():
        model.to(device)
        if name == "ours" or name.endswith("channels_last"):
            for parameter in model.parameters():
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if compiled:
        found["ours, compiled"] = torch.compile(copy.deepcopy(ours), mode="reduce-overhead")
    return found


def update(model: nn.Module, clip: Tensor, backward: bool, clock: Callable[[], float]) -> tuple[Tensor, float]:
    """One pass with or without gradients: (frames, seconds)."""
    if clip.is_cuda:
        torch.cuda.synchronize()
    started = clock()
    if backward:
        for parameter in model.parameters():
            parameter.grad = None
        logits = model({"inputs": clip[:, :-1]})["logits"]
        F.binary_cross_entropy_with_logits(logits, clip[:, 1:]).backward()
    else:
        with torch.no_grad():
            logits = model({"inputs": clip[:, :-1]})["logits"]
    if clip.is_cuda:
        torch.cuda.synchronize()
    return logits.detach(), clock() - started


def check_equal(models: dict[str, nn.Module], clip: Tensor) -> None:
    """Raises SystemExit unless all give the same frames and the same gradient of the first layer's bias."""
    frames, slopes = {}, {}
    for name, model in models.items():
        frames[name] = update(model, clip, True, time.perf_counter)[0].clone()
        first = model.layers[0].recurrent.input if name.startswith("ours") else model.inputs[0]
        slopes[name] = first.bias.grad.clone()
    for name in models:
        off = float((frames[name] - frames["ours"]).abs().max())
        wrong = float((slopes[name] - slopes["ours"]).abs().max() / slopes["ours"].abs().max())
        # PyTorch's batch norm sums up in float32 for channels_last on a CPU, which costs it three digits here.
        if off > 1e-3 or wrong > 1e-2:
            raise SystemExit(f"{name} differs from ours: frames by {off:.2g}, gradients by {wrong:.2g} of the largest")


def race(
    models: dict[str, nn.Module], clip: Tensor, backward: bool, rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in models}
    for round_ in range(rounds + 1):
        for name, model in models.items():
            seconds = update(model, clip, backward, clock)[1]
            if round_:
                times[name].append(seconds)
    return times


def show(title: str, times: dict[str, list[float]]) -> None:
    print(f"\n{title}")
    print(f"{'':28}{'median':>10}{'quartiles':>20}{'ratio to ours':>16}{'quartiles':>14}")
    for name, values in times.items():
        low, middle, high = quartiles(values)
        less, ratio, more = quartiles([a / b for a, b in zip(values, times["ours"], strict=True)])
        spread = f"{1000 * low:.0f} to {1000 * high:.0f}"
        print(f"{name:28}{1000 * middle:7.0f} ms{spread:>20}{ratio:16.2f}{f'{less:.2f} to {more:.2f}':>14}")
    for rival in ("naive", "keras-like"):
        best = min((rival, f"{rival}, channels_last"), key=lambda n: statistics.median(times[n]))
        ratio = quartiles([a / b for a, b in zip(times[best], times["ours"], strict=True)])[1]
        print(f"against the faster {rival} ({best}): {ratio:.2f} times as fast")


def quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--compile", action="store_true", help="time torch.compile with CUDA graphs as well")
    parser.add_argument("--shapes", type=int, nargs="*", default=range(len(SHAPES)), help="indices into SHAPES")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # cuDNN rounds the inputs of float32 convolutions to TF32 unless it is told not to.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    clock = time.process_time if arguments.clock == "processor" else time.perf_counter
    where = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else f"{arguments.threads} threads"
    clips = f"clips of {FRAMES} frames {SIZE}x{SIZE}"
    print(
        f"torch {torch.__version__}, {where}, float32 without TF32, {arguments.clock} time, "
        f"{arguments.rounds} rounds, {clips}"
    )
    for index in arguments.shapes:
        hidden, patch, batch = SHAPES[index]
        models = contenders(hidden, patch, arguments.device, arguments.compile)
        clip = torch.rand(batch, FRAMES + 1, 1, SIZE, SIZE, device=arguments.device)
        check_equal(models, clip)
        for backward in (False, True):
            passes = "forward and backward" if backward else "forward"
            title = f"hidden {hidden}, patch {patch} (maps of {SIZE // patch}x{SIZE // patch}), batch {batch}: {passes}"
            show(title, race(models, clip, backward, arguments.rounds, clock))


if __name__ == "__main__":
    main()
