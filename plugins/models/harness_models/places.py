"""Where attention can sit in a network: its stages, its blocks, and the ends of its residual branches."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from harness.errors import ConfigError

RESNET_LIKE = (
    "timm.models.resnet",
    "timm.models.res2net",
    "timm.models.resnest",
    "timm.models.sknet",
    "timm.models.senet",
    "harness_models.cifar",
)
"""Modules whose blocks compute act(branch(x) + shortcut(x)) and end the branch with a norm and, perhaps, native SE."""

PLACEMENTS = ("residual", "block", "stage")


@dataclass(frozen=True, slots=True)
class Place:
    """`site` is the name that users see; attention is applied to the output of `module` (a path in the network)."""

    site: str
    module: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of the stages and of the blocks, in the order of definition."""

    stages: tuple[str, ...]
    blocks: tuple[str, ...]


def layout_of(net: nn.Module) -> Layout:
    """Read stages and blocks from timm's `feature_info` and from the containers that it points into.

    `feature_info` leaves out stages that do not change the resolution (EfficientNet), so a stage inside a container
    (`blocks.4`) brings its siblings along. A network without stages of blocks (ReXNet, Xception) has the modules of
    `feature_info` as stages and the children of their container as blocks. Empty where nothing is found.
    """
    modules = dict(net.named_modules())
    # `features.2.act` and `blocks.0.stack.act3` lie inside the piece that is meant
    paths = [".".join(info["module"].split(".")[:2]) for info in getattr(net, "feature_info", ())]
    listed = [p for p in dict.fromkeys(paths) if p in modules]
    kinds = {(p.partition(".")[0], _stem(p)) for p in listed if "." in p}
    siblings = [name for name in modules if name.count(".") == 1 and (name.partition(".")[0], _stem(name)) in kinds]
    candidates = [name for name in modules if name in {*listed, *siblings}]
    stages = [path for path in candidates if _blocks_in(modules[path])]
    if stages:
        return Layout(tuple(stages), tuple(f"{s}.{b}" for s in stages for b in _blocks_in(modules[s])))
    return Layout(tuple(listed), tuple(s for s in siblings if _is_composite(modules[s])))


def _blocks_in(stage: nn.Module) -> list[str]:
    """Names, relative to the stage, of the blocks that it runs one after the other; empty if it is not made so."""
    inner = getattr(stage, "blocks", None)
    if isinstance(inner, (nn.Sequential, nn.ModuleList)):
        return [f"blocks.{name}" for name, _ in inner.named_children()]
    children = dict(stage.named_children())
    if isinstance(stage, nn.Sequential):
        return [name for name, child in children.items() if _is_composite(child)]
    # RegNet's stages hold b1, b2, … and DenseNet's denselayer1, …; branches of an Inception block are not numbered so.
    numbered = all(re.fullmatch(r"[A-Za-z]*\d+", name) for name in children) and len(set(map(_stem, children))) == 1
    return list(children) if numbered and all(map(_is_composite, children.values())) else []


def _stem(path: str) -> str:
    """`denseblock` of `features.denseblock4`, nothing of `blocks.4`."""
    return path.rpartition(".")[2].rstrip("0123456789")


def _is_composite(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def branch_end(block: nn.Module) -> str | None:
    """Name of the module that ends the residual branch of a ResNet-like block; None for any other block.

    That is the last norm, or the native attention behind it where the block has one.
    """
    if type(block).__module__ not in RESNET_LIKE:
        return None
    children = dict(block.named_children())
    last = 3 if "conv3" in children else 2
    # Selective-kernel blocks keep norm and convolution in one module.
    for name in ("se", "se_module", f"bn{last}", f"conv{last}"):
        if name in children and not isinstance(children[name], nn.Conv2d):
            return name
    return None


def resolve(net: nn.Module, layout: Layout, placement: str | Sequence[str]) -> tuple[Place, ...]:
    """The places of `residual`, `block`, `stage`, or of a list of module paths and patterns.

    In a pattern `*` and `?` do not cross a dot: `layer3.*` is every block of layer3, `layer3.*.bn2` the last norm of
    every one of its (basic) blocks. Raises ConfigError for a placement that this network does not have.
    """
    if not isinstance(placement, str):
        return _listed(net, layout, placement)
    if placement not in PLACEMENTS:
        near = difflib.get_close_matches(placement, PLACEMENTS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(PLACEMENTS)}, or a list of sites"
        raise ConfigError(f"unknown placement '{placement}'", hint)
    paths = layout.stages if placement == "stage" else layout.blocks
    if not paths:
        what = "stages" if placement == "stage" else "blocks"
        raise ConfigError(
            f"{type(net).__name__} has no {what} that can be told, so placement '{placement}' is not possible",
            hint="use " + ("`placement: stage` or " if layout.stages else "") + "a list of sites, such as "
            f"[{', '.join(_examples(net, layout))}]",
        )
    if placement != "residual":
        return tuple(Place(path, path) for path in paths)
    places = []
    for path in paths:
        end = branch_end(net.get_submodule(path))
        places.append(Place(path, path if end is None else f"{path}.{end}"))
    return tuple(places)


def _listed(net: nn.Module, layout: Layout, patterns: Iterable[str]) -> tuple[Place, ...]:
    names = [name for name, _ in net.named_modules() if name]
    found: dict[str, Place] = {}
    for pattern in patterns:
        matches = [name for name in names if _matches(name, str(pattern))]
        if not matches:
            near = difflib.get_close_matches(str(pattern), names, n=1)
            examples = ", ".join(_examples(net, layout))
            hint = f"did you mean '{near[0]}'?" if near else f"sites are, for instance, {examples}"
            raise ConfigError(f"placement: {type(net).__name__} has no site '{pattern}'", hint)
        found.update((name, Place(name, name)) for name in matches)
    if not found:
        raise ConfigError("placement is an empty list", hint="name at least one site, or use `attention: none`")
    return tuple(found.values())


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _examples(net: nn.Module, layout: Layout) -> list[str]:
    paths = layout.stages or layout.blocks or [name for name, _ in net.named_children()]
    return list(paths[-3:])
