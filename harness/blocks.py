"""The blocks of attention in a model: tried out where they sit before anything trains, and named when they raise."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

import torch
from torch import Tensor, nn

from .contracts import IO, Model
from .environment import streams_kept
from .errors import ComponentFailed, ConfigError, HarnessError
from .foreign import is_target
from .importing import told
from .measure import example
from .trial import Choice


class ShapeChanged(ConfigError):
    """A block does not give back the shape that it was given."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Every block that was made for a model, by its path in it. `choice`: what the grid calls them."""

    choice: Choice = field(default_factory=lambda: Choice("none"))
    placed: Mapping[str, nn.Module] = field(default_factory=dict)

    @classmethod
    def of(cls, choice: Choice, made: Sequence[tuple[str, nn.Module]], model: nn.Module) -> Blocks:
        """`made`: (site, block). A block that a model keeps out of its modules goes by its site."""
        paths = {id(module): path for path, module in model.named_modules()}
        return cls(choice, {paths.get(id(block), site): block for site, block in made})

    @property
    def kinds(self) -> tuple[type, ...]:
        """Of all that they are made of, so that a class which was edited and imported again is another."""
        return tuple(dict.fromkeys(type(m) for block in self.placed.values() for m in block.modules()))

    def named(self, path: str) -> str:
        """`attention 'se' (class SqueezeExcite) at 'sites.layer1_0.attention'`."""
        return f"attention '{self.choice.title()}' (class {type(self.placed[path]).__name__}) at '{path}'"

    @contextmanager
    def telling(self) -> Iterator[None]:
        """While this is open, an error that comes out of a block is raised again with the block, its place and input.

        Found in the traceback, so that nothing is paid for it while all goes well. Raises ComponentFailed, or
        ConfigError where the block itself told what can be mended.
        """
        try:
            yield
        except (ComponentFailed, ShapeChanged):
            raise
        except Exception as error:
            found = self._under_way(error.__traceback__)
            if found is None:
                raise
            path, given = found
            where = f"{self.named(path)}, for an input of {given}" if given else self.named(path)
            if isinstance(error, HarnessError):
                raise ConfigError(f"{where}: {error.message}", error.hint) from error
            raise ComponentFailed(f"{where}: {told(error, type(self.placed[path]).__module__)}") from error

    def _under_way(self, trace: TracebackType | None) -> tuple[str, str] | None:
        """(path, shape of the input) of the block whose code was running; None if it was other code."""
        known = {id(block): path for path, block in self.placed.items()}
        while trace is not None:
            local = trace.tb_frame.f_locals
            path = known.get(id(local.get("self")))
            if path is not None:  # the frame of torch.nn.Module.__call__, which holds the arguments
                given = next((v for v in local.get("args", ()) if isinstance(v, Tensor)), None)
                return path, "" if given is None else _sizes(given)
            trace = trace.tb_next
        return None

    def try_out(self, model: nn.Module, io: IO) -> None:
        """One item through a copy of the model; then each block by itself, with two of what it got, in both modes.

        Two, as a block that takes a mean over the batch keeps the shape of one item. Nothing of the model or the random
        streams changes. What a forward pass never reaches is not judged; nor is, but for one item in evaluation mode,
        a block of a model that cannot be copied.
        Raises ShapeChanged, and what `telling` raises.
        """
        if not self.placed:
            return
        memo: dict[int, Any] = {}
        try:
            model = copy.deepcopy(model, memo)
        except Exception:  # something in it cannot be copied
            memo = {}
        own = Blocks(self.choice, {path: memo.get(id(block), block) for path, block in self.placed.items()})
        with streams_kept(), own.telling():
            seen = own._watched(model, io)
            while memo and seen:
                path = next(iter(seen))
                own._alone(path, seen.pop(path))

    def _watched(self, model: nn.Module, io: IO) -> dict[str, _Call]:
        """What each block was called with for one item, by its path."""
        seen: dict[str, _Call] = {}
        handles = [self._watch(path, block, seen) for path, block in self.placed.items()]
        modes = [(module, module.training) for module in model.modules()]
        try:
            with torch.no_grad():
                model.eval()(self._item(model, io))
        finally:
            for handle in handles:
                handle.remove()
            for module, mode in modes:
                module.training = mode
        return seen

    def _watch(self, path: str, block: nn.Module, seen: dict[str, _Call]) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            call = _Call(args, kwargs)
            self._hold(path, call, output)
            seen[path] = call

        return block.register_forward_hook(hook, with_kwargs=True)

    def _hold(self, path: str, call: _Call, output: Any) -> None:
        given = call.given
        if given is None or (isinstance(output, Tensor) and output.shape == given.shape):
            return
        kind = "[B, C, H, W]" if given.ndim == 4 else "[B, T, C]"
        got = _sizes(output) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        name = self.choice.name
        checked = f"harness check attention {name}"
        hint = f"a block gives back {kind} as it came" + ("" if is_target(name) else f"; try: {checked}")
        raise ShapeChanged(f"{self.named(path)} makes {got} of {_sizes(given)}", hint)

    def _alone(self, path: str, call: _Call) -> None:
        block = self.placed[path]
        for training in (False, True):
            with torch.set_grad_enabled(training):
                twice = call.twice()  # anew, as a block may work in place
                self._hold(path, twice, block.train(training)(*twice.args, **twice.kwargs))

    def _item(self, model: nn.Module, io: IO) -> dict[str, Tensor]:
        """One item of zeros. A front without blocks in it sees one of its frames, and the others get that one's
        features: a large backbone takes seconds for all of them."""
        batch = example(io.inputs, 1, "cpu")
        if "mask" in batch and batch["mask"].ndim == 2:
            batch["mask"][:, -1] = False  # a mask that is True throughout may never reach the blocks
        prefix = cast(Model, model).prefix()
        front = None if prefix is None else cast(Model, model).groups()[prefix[0]]
        inside = set() if front is None else {id(module) for module in front.modules()}
        if prefix is None or front is None or any(id(block) in inside for block in self.placed.values()):
            return batch
        frames = batch.pop(prefix[1])[0]
        row: Tensor = front(frames[:1])
        return {**batch, prefix[2]: row.float().expand(1, len(frames), -1)}


@dataclass(frozen=True, slots=True)
class _Call:
    """What a block was called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def given(self) -> Tensor | None:
        return next((v for v in (*self.args, *self.kwargs.values()) if isinstance(v, Tensor)), None)

    def twice(self) -> _Call:
        """The same for a batch of twice the length, as results of something that trains; None and numbers stay."""
        first = self.given

        def double(value: Any) -> Any:
            if not isinstance(value, Tensor) or first is None or value.shape[:1] != first.shape[:1]:
                return value
            both = torch.cat([value, value]).detach()
            if not both.is_floating_point() or not torch.is_grad_enabled():
                return both
            return both.requires_grad_().clone()  # not the leaf itself, which nothing may write into

        return _Call(tuple(map(double, self.args)), {k: double(v) for k, v in self.kwargs.items()})


def _sizes(tensor: Tensor) -> str:
    return f"[{', '.join(str(n) for n in tensor.shape)}]"
