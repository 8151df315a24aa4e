"""A trained model as one file for other programs, read back and compared with the original.

Formats: `torch-export` (torch.export, .pt2), `onnx` (one graph, run by onnxruntime) and `safetensors` (weights alone).
"""

from __future__ import annotations

import copy
import io
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from . import environment
from .augment.pipeline import Pipeline
from .contracts import IO, Spec
from .errors import ConfigError, StoreError
from .plain import to_plain
from .restore import from_plain
from .store import replacing
from .trial import Record

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Format: TypeAlias = Literal["torch-export", "onnx", "safetensors"]
Tensors: TypeAlias = Mapping[str, Tensor]
Run: TypeAlias = Callable[[Tensors], Tensors]

SUFFIXES: Mapping[Format, str] = {"torch-export": ".pt2", "onnx": ".onnx", "safetensors": ".safetensors"}
MODULES: Mapping[Format, tuple[str, ...]] = {
    "torch-export": (),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "safetensors": ("safetensors",),
}
BATCHES = (1, 3)
"""Batch sizes of the comparison; the model is traced with 2."""
LENGTHS = {1: 17, 2: 16, 3: 12}
"""Batch size -> entries of an axis whose length varies from item to item."""
TOLERANCE = 1e-3
"""Largest difference that is taken for rounding, as a share of the largest output (or of 1, if that is larger)."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. `differences`: "logits, batch 3" -> largest absolute difference to the original, in fp32."""

    path: Path
    sidecar: Path
    format: Format
    size: int
    differences: Mapping[str, float]


class Named(nn.Module):
    """A model whose outputs are the heads that its record promises, by name; inputs are keywords."""

    def __init__(self, model: nn.Module, heads: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.heads = heads

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        output = self.model(batch)
        return {head: output[head] for head in self.heads}


def export(record: Record, model: nn.Module, wanted: str, out: Path | None = None) -> Exported:
    """Write the model (evaluation mode, on the CPU) of a finished trial, and a sidecar `<file>.json` about it.

    `out`: a file, or an existing folder; without it the trial's id in this folder. What stood there is replaced.
    Raises ConfigError if a package is missing, if the model cannot be exported, or if what was read back differs from
    the original by more than rounding; StoreError if the file cannot be written. Neither leaves anything behind.
    """
    kind = checked(wanted)
    path = _target(record, kind, out)
    sidecar = path.with_name(f"{path.name}.json")
    spoken = from_plain(IO, record.io, "record.io")
    named = Named(copy.deepcopy(model).cpu().float().eval(), tuple(spoken.outputs))
    named.requires_grad_(False)
    batches = {n: _batch(spoken, n, record.trial.config.train.channels_last) for n in (2, *BATCHES)}
    about = {**_about(record, kind), "takes": _takes(spoken, batches[2])}
    try:
        with replacing(sidecar) as side, replacing(path) as part:
            run = _WRITERS[kind](named, batches[2], spoken, about, part)
            found = _differences(named, run, [batches[n] for n in BATCHES])
            size = part.stat().st_size
            text = {**about, "file": path.name, "bytes": size, "differences": found}
            side.write_text(json.dumps(text, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except (ConfigError, StoreError):
        raise
    except OSError as error:
        raise StoreError(f"cannot write '{path}': {error.strerror or error}", "choose another with --out") from error
    except Exception as error:  # tracing runs foreign code, and each exporter has errors of its own
        raise _refused(record, kind, error) from error
    return Exported(path, sidecar, kind, size, found)


def checked(wanted: str) -> Format:
    """The format, if its packages are installed. Raises ConfigError."""
    if wanted not in get_args(Format):
        raise ConfigError(f"unknown format '{wanted}'", hint=f"one of {', '.join(get_args(Format))}")
    kind: Format = wanted  # type: ignore[assignment]
    missing = [name for name in MODULES[kind] if util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"export to {kind} needs {', '.join(missing)}, which is not installed",
            hint=f"pip install 'ablation-harness[onnx]', or: pip install {' '.join(missing)}",
        )
    return kind


def _target(record: Record, kind: Format, out: Path | None) -> Path:
    name = f"{record.id}{SUFFIXES[kind]}"
    if out is None:
        return Path(name)
    if out.is_dir():
        return out / name
    if out.suffix != SUFFIXES[kind]:
        raise ConfigError(
            f"'{out}' does not end in '{SUFFIXES[kind]}', as a file of format {kind} does",
            hint=f"--out {out.with_suffix(SUFFIXES[kind])}, or a folder that exists",
        )
    return out


def _refused(record: Record, kind: Format, error: Exception) -> ConfigError:
    config = record.trial.config
    origin = error.__cause__ if isinstance(error.__cause__, Exception) else error
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(origin))  # torch colours its messages
    cause = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    varying = [key for key, spec in record.io["inputs"].items() if None in spec["shape"]]
    why = f" (its inputs vary in length: {', '.join(varying)})" if varying else ""
    other = "; --format safetensors holds the weights of any model" if kind != "safetensors" else ""
    return ConfigError(
        f"trial '{record.id}' (model {config.model.label()}, attention {config.attention.label()}) cannot be exported "
        f"to {kind}{why}: {type(origin).__name__}: {cause}",
        hint=f"nothing was written{other}",
    )


# ------------------------------------------------------------------------------------------------------------- inputs


def _batch(spoken: IO, count: int, channels_last: bool) -> dict[str, Tensor]:
    """Random inputs of the right spec, prepared as the model is given them. Inputs named `mask` are True throughout."""
    generator = torch.Generator().manual_seed(count)
    raw = {key: _random(key, spec, count, generator) for key, spec in spoken.inputs.items()}
    ready = Pipeline(spoken.inputs, (), 0, channels_last)(raw)
    return {key: value.contiguous() for key, value in ready.items()}


def _random(key: str, spec: Spec, count: int, generator: torch.Generator) -> Tensor:
    shape = (count, *(LENGTHS[count] if n is None else n for n in spec.shape))
    if spec.dtype == "bool":
        return torch.ones(shape, dtype=torch.bool)
    kind: torch.dtype | None = getattr(torch, spec.dtype, None)
    if kind is not None and kind.is_floating_point:
        return torch.randn(shape, generator=generator).to(kind)
    if spec.dtype == "uint8":
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    raise ConfigError(f"input '{key}' is of type '{spec.dtype}', for which `export` has no random inputs")


def _dynamic(spoken: IO) -> dict[str, dict[str, dict[int, Any]]]:
    """For each input the axes whose length is free: the batch, and those that vary from item to item."""
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=2)
    free = {
        key: {0: batch, **{i + 1: length for i, n in enumerate(spec.shape) if n is None}}
        for key, spec in spoken.inputs.items()
    }
    return {"batch": free}


# ------------------------------------------------------------------------------------------------------------ formats


def _program(named: Named, example: Tensors, spoken: IO) -> ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # exporters warn of themselves; the comparison is what counts
        return torch.export.export(named, (), dict(example), dynamic_shapes=_dynamic(spoken))


def _torch_export(named: Named, example: Tensors, spoken: IO, about: Mapping[str, Any], part: Path) -> Run:
    program = _program(named, example, spoken)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={"harness.json": json.dumps(about)})
        part.write_bytes(buffer.getvalue())
        loaded = torch.export.load(io.BytesIO(part.read_bytes())).module()
    return lambda batch: dict(loaded(**batch))


def _onnx(named: Named, example: Tensors, spoken: IO, about: Mapping[str, Any], part: Path) -> Run:
    import onnx
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    program = _program(named, example, spoken)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            program,
            input_names=list(spoken.inputs),
            output_names=list(spoken.outputs),
            dynamo=True,
            verbose=False,
        )
    if made is None:
        raise ConfigError("torch.onnx gave no program")
    proto = made.model_proto
    for key in ("trial", "model", "attention"):
        proto.metadata_props.add(key=key, value=str(about[key]))
    proto.metadata_props.add(key="harness", value=json.dumps(about))
    part.write_bytes(proto.SerializeToString())
    onnx.checker.check_model(onnx.load(io.BytesIO(part.read_bytes())))
    session = onnxruntime.InferenceSession(part.read_bytes(), providers=["CPUExecutionProvider"])
    taken = [i.name for i in session.get_inputs()]
    given = [o.name for o in session.get_outputs()]

    def run(batch: Tensors) -> Tensors:
        values = session.run(given, {name: batch[name].numpy() for name in taken})
        return {name: torch.from_numpy(v) for name, v in zip(given, values, strict=True)}

    return run


def _safetensors(named: Named, example: Tensors, spoken: IO, about: Mapping[str, Any], part: Path) -> Run:
    from safetensors.torch import load, save

    # Cloned: the format refuses tensors that share memory and those in another memory format.
    state = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in _state(named).items()}
    plain = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    part.write_bytes(save(state, metadata=plain))
    again = copy.deepcopy(named)
    for value in _state(again).values():  # so that a weight that the file lacks cannot pass for a right one
        value.fill_(math.nan if value.is_floating_point() else 0)
    again.model.load_state_dict(load(part.read_bytes()))
    return lambda batch: again(**batch)


def _state(named: Named) -> dict[str, Tensor]:
    return dict(named.model.state_dict())


_WRITERS: Mapping[Format, Callable[[Named, Tensors, IO, Mapping[str, Any], Path], Run]] = {
    "torch-export": _torch_export,
    "onnx": _onnx,
    "safetensors": _safetensors,
}


# ----------------------------------------------------------------------------------------------------------- checking


def _differences(named: Named, run: Run, batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """Largest absolute difference of every head at every batch size. Raises ConfigError for more than rounding."""
    found: dict[str, float] = {}
    for batch in batches:
        count = len(next(iter(batch.values())))
        with torch.no_grad():
            right, read = named(**batch), run(batch)
        for head, value in right.items():
            if read[head].shape != value.shape:
                raise ConfigError(f"read back, '{head}' has shape {tuple(read[head].shape)}, not {tuple(value.shape)}")
            largest = float((read[head].float() - value.float()).abs().max())
            if not largest <= TOLERANCE * max(1.0, float(value.abs().max())):  # also NaN
                raise ConfigError(
                    f"read back, '{head}' differs from the model's own by {largest:.3g} at batch size {count}",
                    hint="that is more than rounding, so nothing was written; try another format",
                )
            found[f"{head}, batch {count}"] = largest
    return found


def _about(record: Record, kind: Format) -> dict[str, Any]:
    """What a reader of the file needs to know, ready for JSON."""
    config = record.trial.config
    inputs: Mapping[str, Any] = record.io["inputs"]
    return {
        "trial": record.id,
        "format": kind,
        "model": config.model.label(),
        "attention": config.attention.label(),
        "classes": list(record.classes),
        "preprocessing": {key: _preprocessing(spec) for key, spec in inputs.items()},
        "io": to_plain(record.io),
        "config": to_plain(config),
        "metrics": to_plain(record.metrics),
        "versions": environment.versions(),
    }


def _takes(spoken: IO, example: Tensors) -> dict[str, Any]:
    """Type and shape of what the file's model is given, after the preprocessing; null: any length."""
    return {
        key: {"dtype": str(example[key].dtype).removeprefix("torch."), "shape": [None, *spec.shape]}
        for key, spec in spoken.inputs.items()
    }


def _preprocessing(spec: Mapping[str, Any]) -> dict[str, Any]:
    given = {"axes": spec["axes"], "mean": list(spec["mean"]), "std": list(spec["std"])}
    if spec["dtype"] != "uint8":
        return {**given, "steps": "as it is"}
    if not spec["scaled"]:
        return {**given, "steps": "bytes as they are; the model normalises them"}
    return {
        **given,
        "steps": "divide by 255" + (", subtract mean, divide by std (per channel)" if spec["mean"] else ""),
    }
