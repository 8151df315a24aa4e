"""Weights from a local file, into a network that they must fit exactly."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.data import find_file, initial_weights_wanted
from harness.errors import ConfigError, DataError

WeightsBy = Literal["name", "order"]
Classifier = Literal["file", "new", "none"]

_COUNTER = ".num_batches_tracked"
_LEAVES = ("weight", "bias", "running_mean", "running_var")


def load_weights(
    net: nn.Module, file: str, head: Sequence[str], classifier: Classifier = "file", by: WeightsBy = "name"
) -> str:
    """Load `file` into `net`; a sentence for the record.

    `file` is a .safetensors file or a state dict of torch (read with weights_only=True; one level of `state_dict` or
    `model` and a `module.` prefix are taken off). `head` are the paths of the classifier's modules: unless `classifier`
    is "file", their entries stay as `net` has them ("none": they are not wanted). `by` "order": the file has names of
    its own, and its entries are those of `net` one after the other. Raises DataError if the file is missing, cannot be
    read or holds what is no number, ConfigError if it does not fit.
    """
    if not initial_weights_wanted():
        return f"weights from '{Path(file).name}', which a stored trial no longer needs"
    path = find_file(file, "weights")
    state = read_state(path)
    _check_values(path, state)
    own = net.state_dict()
    if by == "order":
        state = _renamed(path, own, state, head)
    note = f"weights from '{path.name}' (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]})"
    if classifier != "file":
        rest = {key: value for key, value in state.items() if not _inside(key, head)}
        state = rest | {key: value for key, value in own.items() if _inside(key, head)}
        note += ", but for the classifier" + (", which is new" if classifier == "new" else "")
    note += ", entry by entry in their order" if by == "order" else ""
    # Files older than this counter of batch norms lack it; it takes no part in evaluation.
    state = {key: value for key, value in own.items() if key.endswith(_COUNTER)} | dict(state)
    wrong = _differences(own, state)
    if wrong:
        heads_only = all(_inside(name, head) for name in wrong)
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigError(
            f"weights: '{path.name}' does not fit {type(net).__name__}: {'; '.join(list(wrong.values())[:3])}{more}",
            hint="only the classifier differs: the file was made for other classes (`timm` takes `reset_head: true`)"
            if heads_only
            else "choose the architecture, stem and options that the file was made with",
        )
    net.load_state_dict(state)
    return note


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file. Raises DataError."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(str(path))
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each of the two readers has errors of its own for a damaged file
        why = "it holds more than tensors" if isinstance(error, pickle.UnpicklingError) else str(error)
        raise DataError(
            f"weights: '{path.name}' cannot be read: {why}",
            hint="give a .safetensors file or a state dict saved with torch.save",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise DataError(f"weights: '{path.name}' holds no state dict", hint="save `model.state_dict()` with torch.save")
    if all(key.startswith("module.") for key in found):
        return {key.removeprefix("module."): value for key, value in found.items()}
    return dict(found)


def _check_values(path: Path, state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        try:
            finite = bool(torch.isfinite(value).all())
        except (RuntimeError, TypeError) as error:  # sparse, quantised or without storage
            raise DataError(
                f"weights: '{path.name}' holds no plain tensor in '{key}': {error}", hint="save dense tensors of floats"
            ) from error
        if not finite:
            raise DataError(f"weights: '{path.name}' holds values in '{key}' that are not finite", "get the file anew")


def _renamed(
    path: Path, own: Mapping[str, Tensor], state: Mapping[str, Tensor], head: Sequence[str]
) -> dict[str, Tensor]:
    """The entries of a file under the names of the model, matched by their order. Raises ConfigError."""
    if path.suffix == ".safetensors":
        raise ConfigError(
            f"weights: '{path.name}' keeps no order of its entries, so they cannot be matched by it",
            hint="give a state dict saved with torch.save, or use `weights_by: name`",
        )
    ours = [name for name in own if not name.endswith(_COUNTER)]
    theirs = [name for name in state if not name.endswith(_COUNTER)]
    trunk = [name for name in ours if not _inside(name, head)]
    names = next((names for names in (ours, trunk) if len(names) == len(theirs)), None)
    if names is None:
        raise ConfigError(
            f"weights: '{path.name}' has {len(theirs)} entries, and the model {len(ours)} "
            f"({len(trunk)} without its classifier)",
            hint="choose the architecture that the file was made with",
        )
    for name, other in zip(names, theirs, strict=True):
        # Scale, shift and both statistics of a norm have one shape, so only their names tell a swap.
        here, there = name.rpartition(".")[2], other.rpartition(".")[2]
        if here != there and there in _LEAVES:
            raise ConfigError(
                f"weights: entry '{other}' of '{path.name}' falls on '{name}' of the model",
                hint="the two have another order: rename the entries, and use `weights_by: name`",
            )
    return {name: state[other] for name, other in zip(names, theirs, strict=True)}


def _inside(key: str, head: Sequence[str]) -> bool:
    return any(key.startswith(path + ".") for path in head)


def _differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, str]:
    wrong = {name: f"'{name}' is missing" for name in own if name not in state}
    wrong |= {name: f"'{name}' is not in the model" for name in state if name not in own}
    for name in own.keys() & state.keys():
        there, here = tuple(state[name].shape), tuple(own[name].shape)
        if there != here:
            wrong[name] = f"'{name}' is {there} in the file and {here} in the model"
        elif own[name].is_floating_point() and not state[name].is_floating_point():
            wrong[name] = f"'{name}' is {state[name].dtype} in the file and {own[name].dtype} in the model"
    return wrong
