"""What a model costs: parameters, multiply-accumulates, latency, memory. Each with its definition."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .contracts import IO, Spec

LATENCY = (
    "median and quartiles of one forward pass in fp32, eager, evaluation mode, zeros as input, all CPU cores; "
    "all arms measured in turn"
)

LEAST_ROUNDS = 5
"""Fewer give no quartiles worth the name."""


def parameters(model: nn.Module) -> dict[str, float]:
    """Counts: all, those of attention blocks (their names contain `.attention.`), and those that train now."""
    named = list(model.named_parameters())
    return {
        "parameters": float(sum(p.numel() for _, p in named)),
        "attention_parameters": float(sum(p.numel() for n, p in named if ".attention." in n)),
        "trainable": float(sum(p.numel() for _, p in named if p.requires_grad)),
    }


def groups(named: Mapping[str, nn.Module]) -> dict[str, float]:
    """Weights of every group that a model names; groups may lie inside each other."""
    return {name: float(sum(p.numel() for p in module.parameters())) for name, module in named.items()}


def example(specs: Mapping[str, Spec], batch: int, device: str, varying: int = 16) -> dict[str, Tensor]:
    """Zeros in the form of a prepared batch or an output, masks all real; axes whose length varies get `varying`."""

    def zeros(spec: Spec) -> Tensor:
        shape = [batch, *(varying if n is None else n for n in spec.shape)]
        if spec.dtype == "bool":
            return torch.ones(shape, device=device, dtype=torch.bool)
        floats = spec.dtype == "float32" or (spec.dtype == "uint8" and spec.scaled)
        return torch.zeros(shape, device=device, dtype=torch.float32 if floats else getattr(torch, spec.dtype))

    return {key: zeros(spec) for key, spec in specs.items()}


def macs(model: nn.Module, io: IO, device: str) -> float:
    """Multiply-accumulates of one item, half of what PyTorch's counter calls FLOPs. Not element-wise work."""
    training = model.training
    model.eval()
    # Of the ways to compute attention, this is the one whose products the counter sees on every device.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(example(io.inputs, 1, device))
    model.train(training)
    return float(counter.get_total_flops()) / 2


def block_macs(block: nn.Module, shape: Sequence[int]) -> float:
    """Multiply-accumulates of a block of attention for one item of this shape, counted as `macs` does."""
    training = block.training
    block.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        block(torch.zeros(1, *shape))
    block.train(training)
    return float(counter.get_total_flops()) / 2


def latency(
    models: Mapping[str, tuple[nn.Module, IO]],
    device: str,
    batch: int | Mapping[str, int] = 1,
    rounds: int = 40,
    warmup: int = 5,
    budget: float = math.inf,
) -> dict[str, dict[str, Any]]:
    """Milliseconds of one forward pass of every model, in turn within each round, so that drift cancels.

    `batch`: items, or the same for every model of its own. Rounds are fewer, but never below `LEAST_ROUNDS`, where
    they would take more than `budget` seconds a model by the last warm-up round. On CUDA also `memory`, in bytes.
    """
    batches = dict.fromkeys(models, batch) if isinstance(batch, int) else batch
    inputs: dict[str, dict[str, Tensor]] = {}  # rows that read the same hold it once
    runs, memory = {}, {}
    with torch.inference_mode():
        for key, (model, io) in models.items():
            form = repr((sorted(io.inputs.items()), batches[key]))
            inputs.setdefault(form, example(io.inputs, batches[key], device))
            runs[key] = _pass(model, inputs[form], device)
        for _ in range(warmup):
            total = sum(run() for run in runs.values())
            if total > budget * len(runs) / LEAST_ROUNDS:
                break  # a pass of seconds is warm enough after one
        if warmup and math.isfinite(budget):
            rounds = max(LEAST_ROUNDS, min(rounds, int(budget * len(runs) / max(total, 1e-9))))
        times: dict[str, list[float]] = {key: [] for key in runs}
        for _ in range(rounds):
            for key, run in runs.items():
                times[key].append(1000 * run())
        if device.startswith("cuda"):
            for key, (model, io) in models.items():
                form = repr((sorted(io.inputs.items()), batches[key]))
                memory[key] = _memory(runs[key], model, inputs[form], device)
    return {key: {**_summary(t, batches[key], device), "memory": memory.get(key)} for key, t in times.items()}


def _memory(run: Callable[[], float], model: nn.Module, inputs: Mapping[str, Tensor], device: str) -> float:
    """Bytes that one pass of this model holds at most: its weights, its input, and what lies between.

    What else is on the device (other rows of the study) is there before the pass, and taken off.
    """
    own = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers(), *inputs.values()))
    before = torch.cuda.memory_allocated(device)
    peak = PeakMemory(device)
    peak.start()
    run()
    return (peak.read() or 0.0) - before + own


def _pass(model: nn.Module, inputs: Mapping[str, Tensor], device: str) -> Callable[[], float]:
    model = model.to(device).eval()

    def run() -> float:
        start = time.perf_counter()
        model(inputs)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    return run


def _summary(values: list[float], batch: int, device: str) -> dict[str, Any]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median_ms": middle,
        "low_ms": low,
        "high_ms": high,
        "rounds": len(values),
        "batch": batch,
        "device": device,
        "definition": LATENCY,
    }


class PeakMemory:
    """Peak memory of what happens between `start` and `read`, in bytes.

    CUDA: the allocator's peak. CPU on Linux: the peak resident set of the whole process, program and data included
    (the kernel's high-water mark, set back at the start). Elsewhere: None.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device if device.startswith("cuda") else None
        self._known = True

    def start(self) -> None:
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._cuda)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self._known = False  # the mark then still holds the peak of whatever this process did before

    def read(self) -> float | None:
        if self._cuda:
            return float(torch.cuda.max_memory_allocated(self._cuda))
        if not self._known:
            return None
        try:
            status = Path(f"/proc/{os.getpid()}/status").read_text()
        except OSError:
            return None
        line = next((entry for entry in status.splitlines() if entry.startswith("VmHWM:")), None)
        return 1024.0 * int(line.split()[1]) if line else None
