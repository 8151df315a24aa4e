"""What a result depends on beside its configuration: versions, device, threads, git state; and every seeding."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from .errors import ConfigError

RESULTS_VERSION = 2
"""Raised by hand when a change of the core changes results; part of every trial's id."""

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scikit-learn")


def derive(seed: int, *labels: object) -> int:
    """A seed for one purpose: SHA-256 of the trial's seed and the labels, 63 bits."""
    text = "/".join([str(seed), *map(str, labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_all(seed: int) -> None:
    """Seed the global streams of Python, NumPy and torch (all devices)."""
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def resolve_device(name: str) -> str:
    """`auto` is the first CUDA device, else MPS, else the CPU. Raises ConfigError if `name` is not there."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"unknown device '{name}'", hint="auto, cpu, cuda, cuda:1 or mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"device '{name}' is not here: {count} CUDA devices are visible", hint="try --device auto")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps' is not available on this machine", hint="try --device auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device '{name}' is not supported", hint="auto, cpu, cuda, cuda:1 or mps")
    return f"cuda:{device.index or 0}" if device.type == "cuda" else device.type


def auto_precision(device: str) -> Literal["fp32", "bf16"]:
    """bf16 autocast on CUDA devices that have it in hardware, fp32 elsewhere."""
    import torch

    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def cores() -> int:
    """CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Look for cycles of dead objects after 100,000 new ones, and not after Python's 700.

    Importing torch and drawing a report make millions that live on, and every look goes over them again.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def streams_kept() -> Iterator[None]:
    """The random streams of Python, NumPy and torch's CPU are afterwards as they were."""
    import random

    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@contextmanager
def pinned(threads: int, deterministic: bool) -> Iterator[None]:
    """Run with so many CPU threads and, if asked, with deterministic kernels only; restore both afterwards."""
    import torch

    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    cudnn = (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when its first handle is made
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn


def versions() -> dict[str, str]:
    """Installed versions of what results depend on, without importing any of it."""
    found = {"python": platform.python_version()}
    for name in ("ablation-harness", *_LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "source" if name == "ablation-harness" else "missing"
    return found


def describe(device: str, threads: int) -> dict[str, Any]:
    """A flat mapping for the record: versions, device, threads, platform and git state."""
    import torch

    found: dict[str, Any] = {**versions(), "device": device, "threads": threads, "platform": platform.platform()}
    found["processor"] = _processor()
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
        found["cuda"] = str(torch.version.cuda)
    found.update(git_state())
    return found


@functools.cache
def git_state() -> dict[str, Any]:
    """Commit and cleanliness of the working directory's repository; empty outside of one."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    return {"git_commit": commit, "git_clean": not _git("status", "--porcelain", "--untracked-files=no")}


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(("git", *arguments), capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
