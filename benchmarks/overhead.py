"""What the harness costs: the same trial by the harness and by a plain loop, in turn in one process.

    python benchmarks/overhead.py [--epochs 3] [--rounds 3] [--threads 1]

The plain loop is what one would write for this one trial: the same ResNet-20, the same updates on the same number of
images with the same augmentation, a validation pass an epoch and a test pass. It keeps nothing, checks nothing and
measures nothing. Prints the ratio of the medians, and the start-up of the command line against `python -c pass`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.data import data_root
from harness.discovery import load
from harness.engine import Run, run_trial
from harness.registry import Registry
from harness.store import Store
from harness.trial import Choice, Config, Provenance, Recipe, Stage, Term, Trial

BATCH, LR = 128, 0.1


def config(dataset: Choice, epochs: int) -> Config:
    stage = Stage(epochs, Choice.of("sgd", lr=LR), Choice("cosine"))
    return Config(
        task=Choice("classification"),
        dataset=dataset,
        model=Choice("resnet20"),
        attention=Choice("none"),
        placement="residual",
        loss=(Term(Choice("cross_entropy"), 1.0, "cross_entropy"),),
        augment=(Choice("crop"), Choice("flip")),
        train=Recipe((stage,), batch_size=BATCH),
        seed=0,
    )


def by_harness(one: Config, registry: Registry, threads: int) -> float:
    """Seconds of a whole trial, from its configuration to its stored record."""
    trial = Trial(one, Provenance((), 1, "benchmark"))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        sink = store.sink(trial, lambda epoch, values: None, lambda done, total, loss: None)
        started = time.perf_counter()
        record = run_trial(trial, registry, sink, Run(data_root(), "cpu", threads))
        store.write_record(record)
        elapsed = time.perf_counter() - started
    if record.status != "ok":
        raise SystemExit(f"the trial failed: {record.reason}")
    return elapsed


def augmented(x: Tensor) -> Tensor:
    """Random crop and flip of a batch, each image by itself."""
    batch, _, height, width = x.shape
    padded = F.pad(x, (4, 4, 4, 4), mode="reflect").permute(0, 2, 3, 1)
    rows = torch.randint(0, 9, (batch, 1)) + torch.arange(height)
    columns = torch.randint(0, 9, (batch, 1)) + torch.arange(width)
    x = padded[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return torch.where(torch.rand(batch, 1, 1, 1) < 0.5, x.flip(-1), x)


def by_hand(one: Config, registry: Registry, threads: int) -> float:
    """Seconds of the same training, written out."""
    torch.set_num_threads(threads)
    started = time.perf_counter()
    dataset = registry.build("dataset", one.dataset.name, data_root(), **one.dataset.as_dict())
    describe = registry.get("dataset", one.dataset.name).load().describe  # type: ignore[attr-defined]
    io = registry.build("task", "classification").io(describe(data_root(), **one.dataset.as_dict()))
    spec = io.inputs["inputs"]
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (spec.mean, spec.std))
    splits = {}
    for name in ("train", "val", "test"):
        arrays = dataset.split(name).resident()
        splits[name] = (torch.tensor(arrays["inputs"]), torch.tensor(arrays["target"]))
    torch.manual_seed(0)
    model: nn.Module = registry.build("model", "resnet20", io).to(memory_format=torch.channels_last)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 5e-4}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=LR, momentum=0.9, nesterov=True)
    x_train, y_train = splits["train"]
    steps, epochs = math.ceil(len(x_train) / BATCH), one.train.epochs

    def ready(x: Tensor, train: bool) -> Tensor:
        x = x.float() / 255
        x = augmented(x) if train else x
        return ((x - mean) / std).contiguous(memory_format=torch.channels_last)

    def accuracy(name: str) -> float:
        model.eval()
        x, y = splits[name]
        with torch.inference_mode():
            hits = [
                (model({"inputs": ready(x[i : i + BATCH], False)})["logits"].argmax(1) == y[i : i + BATCH]).sum()
                for i in range(0, len(x), BATCH)
            ]
        return float(torch.stack(hits).sum()) / len(x)

    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(x_train))
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = LR * 0.5 * (1 + math.cos(math.pi * (epoch * steps + step) / (epochs * steps)))
            index = order[step * BATCH : (step + 1) * BATCH]
            loss = F.cross_entropy(model({"inputs": ready(x_train[index], True)})["logits"], y_train[index])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
        accuracy("val")
    accuracy("test")
    return time.perf_counter() - started


def start_up(arguments: list[str], rounds: int = 7) -> float:
    """Median milliseconds of a whole Python process."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--train-size", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    registry = load(third_party=False).registry
    options = {"train_size": arguments.train_size} if arguments.dataset.startswith("cifar") else {}
    one = config(Choice.of(arguments.dataset, **options), arguments.epochs)
    by_harness(one, registry, arguments.threads)  # decodes and caches the data, and warms the libraries up
    times: dict[str, list[float]] = {"harness": [], "plain loop": []}
    for _ in range(arguments.rounds):
        times["plain loop"].append(by_hand(one, registry, arguments.threads))
        times["harness"].append(by_harness(one, registry, arguments.threads))
    for name, values in times.items():
        print(f"{name}: {', '.join(f'{v:.2f}' for v in values)} s, median {statistics.median(values):.2f} s")
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"ratio of medians, harness / plain loop: {medians['harness'] / medians['plain loop']:.3f}")
    bare = start_up(["-c", "pass"])
    print(f"python -c pass: {bare:.0f} ms")
    for words in (["--help"], ["list"]):
        took = start_up(["-m", "harness", *words])
        print(f"harness {' '.join(words)}: {took:.0f} ms, {took / bare:.1f} times bare Python")


if __name__ == "__main__":
    main()
