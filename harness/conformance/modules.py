"""What holds for every torch module that a plugin hands over: weights, storing, precision, layout, compilers."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import util
from typing import Any

import torch
from torch import Tensor, nn

from ..environment import seed_all
from .findings import Broken, NotChecked
from .running import SEED, Check, Subject, told

ROUNDING = 1e-4
"""Share of the largest value that two ways of computing the same in float32 may be apart."""
ROUNDING_BF16 = 0.08
"""The same for bfloat16, which has 8 bits of mantissa, over a few layers."""
LARGEST_COMPILED = 150
"""Modules; what has more takes minutes to trace on a CPU."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """How a module is made and called; `run` gives its outputs by name.

    `inner`: it stands inside a network, so that its input is bfloat16 under autocast.
    """

    make: Callable[[], nn.Module]
    inputs: Tensors
    run: Callable[[nn.Module, Tensors], dict[str, Tensor]]
    inner: bool = True

    def build(self, seed: int = SEED) -> nn.Module:
        seed_all(seed)
        return self.make()


def apart(a: Tensors, b: Tensors) -> float:
    """Largest difference as a share of the largest value; infinite where names, shapes or places of NaN differ."""
    if a.keys() != b.keys():
        return float("inf")
    worst = 0.0
    for key, first in a.items():
        x, y = first.detach().double(), b[key].detach().double()
        if x.shape != y.shape or not bool((x.isnan() == y.isnan()).all()):
            return float("inf")
        x, y = x.nan_to_num(), y.nan_to_num()
        if x.numel():
            worst = max(worst, float((x - y).abs().max() / x.abs().max().clamp(min=1e-6)))
    return worst


def same(a: Tensors, b: Tensors, what: str, tolerance: float = ROUNDING) -> float:
    """Raises Broken if two outputs differ by more than rounding."""
    difference = apart(a, b)
    if not difference <= tolerance:
        size = "in names, shapes or NaN" if difference == float("inf") else f"by {difference:.2g} of the largest value"
        raise Broken(f"{what} differ {size}")
    return difference


def finite(outputs: Tensors, what: str) -> None:
    for key, value in outputs.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise Broken(f"{what}: '{key}' is not finite" if key else f"{what} is not finite")


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    return {k: v for k, v in module.state_dict().items() if isinstance(v, Tensor)}


def total(outputs: Tensors) -> Tensor:
    """A scalar with a gradient towards every output."""
    return torch.stack([v.float().square().mean() for v in outputs.values() if v.is_floating_point()]).sum()


def backward(scalar: Tensor) -> None:
    torch.autograd.backward((scalar,))


def moved(case: Case, seed: int = SEED) -> nn.Module:
    """A module whose running statistics have left their first values, in evaluation mode."""
    module = case.build(seed).train()
    with torch.no_grad():
        case.run(module, case.inputs)
    return module.eval()


def _case(subject: Subject) -> Case:
    case: Case | None = subject.kept.get("case")
    if case is None:
        raise NotChecked("it is no torch module, so it has no weights")
    return case


def _seed(subject: Subject) -> str:
    case = _case(subject)
    first, second = (tensors_of(case.build()) for _ in range(2))
    if first.keys() != second.keys():
        raise Broken("two builds under one seed have different names of weights")
    other = [k for k in first if not torch.equal(first[k], second[k])]
    if other:
        raise Broken(f"two builds under one seed differ in '{other[0]}' and {len(other) - 1} more")
    return f"{len(first)} tensors are equal in two builds"


def _state(subject: Subject) -> str:
    case = _case(subject)
    trained, fresh = moved(case), case.build(SEED + 1)
    try:
        fresh.load_state_dict(trained.state_dict(), strict=True)
    except RuntimeError as error:
        raise Broken(f"its own state_dict is refused: {told(error)}") from error
    with torch.no_grad():
        before, after = case.run(trained, case.inputs), case.run(fresh.eval(), case.inputs)
    same(before, after, "outputs before and after the state_dict went into a fresh module")
    return f"{len(trained.state_dict())} entries"


def _weights_only(subject: Subject) -> str:
    module = _case(subject).build()
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    try:
        state = torch.load(buffer, weights_only=True)
    except Exception as error:
        raise Broken(f"torch.load(weights_only=True) refuses the state_dict: {told(error)}") from error
    for key, value in tensors_of(module).items():
        if not torch.equal(state[key], value):
            raise Broken(f"'{key}' has changed on the way through a file")
    return f"{len(state)} entries, {buffer.getbuffer().nbytes:,} bytes"


def _bf16(subject: Subject) -> str:
    case = _case(subject)
    module = moved(case)
    with torch.no_grad():
        exact = case.run(copy.deepcopy(module), case.inputs)
    leaves = {k: v.clone().requires_grad_() if v.is_floating_point() else v for k, v in case.inputs.items()}
    with torch.autocast("cpu", torch.bfloat16):
        narrow = {k: v.bfloat16() if case.inner and v.is_floating_point() else v for k, v in leaves.items()}
        rough = case.run(module, narrow)
        training = case.run(module.train(), leaves)
    finite(rough, "the output under bfloat16 autocast")
    backward(total(training))
    gradients = {k: v.grad for k, v in leaves.items() if v.grad is not None}
    finite({**gradients, **{n: p.grad for n, p in module.named_parameters() if p.grad is not None}}, "a gradient")
    return f"within {same(exact, rough, 'outputs in fp32 and under bf16 autocast', ROUNDING_BF16):.1g} of fp32"


def _channels_last(subject: Subject) -> str:
    case = _case(subject)
    if not any(v.ndim == 4 for v in case.inputs.values()):
        raise NotChecked("it reads no maps [B, C, H, W]")
    module = moved(case)
    with torch.no_grad():
        before = case.run(copy.deepcopy(module), case.inputs)
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    inputs = {
        k: v.contiguous(memory_format=torch.channels_last).requires_grad_() if v.ndim == 4 else v
        for k, v in case.inputs.items()
    }
    after = case.run(module, inputs)
    difference = same(before, after, "outputs of maps with channels first and last")
    if any(v.requires_grad for v in after.values()):
        backward(total(after))
    return f"the same within {difference:.1g}, with its gradient"


def _compile(subject: Subject) -> str:
    case = _case(subject)
    module = moved(case)
    _small_enough(module)
    torch._dynamo.reset()
    # aot_eager traces all that the default backend would, and leaves out minutes of a C++ compiler.
    compiled: Any = torch.compile(copy.deepcopy(module), backend="aot_eager", fullgraph=True)
    try:
        with torch.no_grad():
            difference = same(case.run(module, case.inputs), case.run(compiled, case.inputs), "eager and compiled")
    finally:
        torch._dynamo.reset()
    return f"one graph, the same within {difference:.1g} (backend aot_eager, evaluation mode)"


def _onnx(subject: Subject) -> str:
    case = _case(subject)
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if util.find_spec(name) is None]
    if missing:
        raise NotChecked(f"{missing[0]} is not installed: pip install 'ablation-harness[onnx]'")
    module = moved(case)
    _small_enough(module)
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    onnxruntime.set_default_logger_severity(3)
    names = list(case.inputs)
    with torch.no_grad():
        right = case.run(module, case.inputs)
        made: Any = torch.onnx.export(
            _Positional(module, case, tuple(names)), tuple(case.inputs.values()), input_names=names,
            output_names=list(right), dynamo=True, optimize=False, verbose=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(made.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    taken = {i.name: case.inputs[i.name].numpy() for i in session.get_inputs()}
    values = [torch.from_numpy(v) for v in session.run(None, taken)]
    difference = same(right, dict(zip(right, values, strict=True)), "outputs of torch and of the ONNX graph")
    return f"the same within {difference:.1g} in onnxruntime"


def _small_enough(module: nn.Module) -> None:
    count = sum(1 for _ in module.modules())
    if count > LARGEST_COMPILED:
        raise NotChecked(f"{count} modules take minutes to trace; the limit is {LARGEST_COMPILED}")


class _Positional(nn.Module):
    """Inputs one by one and outputs as a tuple, as exporters want them."""

    def __init__(self, module: nn.Module, case: Case, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.case, self.names = module, case, names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        found = self.case.run(self.module, dict(zip(self.names, values, strict=True))).values()
        return tuple(torch.add(v, 0) for v in found)  # what is handed through has no name of its own in a graph


WEIGHTS = (
    Check(
        "seed",
        "rows of a study are paired by seed: a block that draws from elsewhere starts differently every time",
        "draw through torch's global stream (torch.nn.init), and from no generator, clock or NumPy stream of its own",
        _seed,
    ),
    Check(
        "state_dict",
        "trials resume, and their models are opened later, from the state_dict alone",
        "keep every tensor as a Parameter or with register_buffer, and make all of them in __init__",
        _state,
    ),
    Check(
        "weights_only",
        "checkpoints are loaded with weights_only=True, so that a file cannot run code",
        "leave nothing but tensors and plain numbers in the state_dict (look at get_extra_state)",
        _weights_only,
    ),
    Check(
        "bf16",
        "on a GPU studies train under bfloat16 autocast by default",
        "take sums and squares of large numbers in float32, and give results back in the input's type",
        _bf16,
    ),
    Check(
        "channels_last",
        "studies train with channels last by default, where `view` fails and strides differ",
        "use reshape and flatten in place of view",
        _channels_last,
    ),
)
COMPILERS = (
    Check(
        "compile",
        "`train.compile` traces the model; what breaks the graph is slow there, or stops the trial",
        "branch on shapes and options alone, and never on values of tensors",
        _compile,
        mild=True,
    ),
    Check(
        "onnx",
        "`harness export --format onnx` fails for a model with this part",
        "use operations that ONNX has; `harness export --format safetensors` holds the weights of any model",
        _onnx,
        mild=True,
    ),
)
