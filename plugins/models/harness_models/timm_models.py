"""Any architecture of timm as a classifier.

Source: Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861. Differs: `stem: cifar` (3x3, stride 1, no
pooling, as in He et al. 2016, section 4.2) replaces the first layers of the ResNet family; nothing else is changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import timm
from timm.models import is_model
from timm.models.resnet import ResNet
from torch import nn

from harness.contracts import IO
from harness.data import initial_weights_wanted
from harness.errors import ConfigError, DataError
from harness_models.image import ImageClassifier, class_count, image_shape
from harness_models.weights import load_weights

NATIVE_GATES = (
    "SEModule",
    "SqueezeExcite",
    "SEWithNorm",
    "EffectiveSEModule",
    "BlockESE",
    "EcaModule",
    "CecaModule",
    "CbamModule",
    "LightCbamModule",
    "GatherExcite",
    "GlobalContext",
    "CoordAttn",
    "SimpleCoordAttn",
    "EfficientLocalAttn",
    "StripAttn",
)
"""Classes of timm that gate a feature map and keep its shape, so that leaving one out leaves a valid network."""

NATIVE_CONVOLUTIONS = ("SplitAttn", "SelectiveKernel")
"""Classes of timm where attention is part of a convolution and cannot be taken out."""


def timm_classifier(
    io: IO,
    arch: str,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    pretrained: bool = False,
    weights: str | None = None,
    reset_head: bool = False,
    drop_path: float = 0.0,
    drop_rate: float = 0.0,
    native_attention: Literal["keep", "remove"] = "keep",
) -> ImageClassifier:
    """Build `arch` for the images and classes of `io`.

    `pretrained` loads timm's weights (from its cache or the network), `weights` a local file (.safetensors, or a
    state dict of torch; also looked for in HARNESS_DATA); `reset_head` leaves the file's classifier out. `drop_path`
    (stochastic depth) and `drop_rate` (dropout before the classifier) are probabilities in [0, 1).
    `native_attention` says what becomes of squeeze-excitation and the like that `arch` has of its own: `keep` (added
    blocks come after it) or `remove` (in every arm, the baseline too, after weights were loaded). What was done is in
    `notes`.

    10 classes, 3 channels: resnet50 has 23,528,522 parameters, with `stem: cifar` 23,520,842; resnet18 with
    `stem: cifar` 11,173,962.

    Raises ConfigError for an unknown architecture, options that it does not take, or weights that do not fit;
    DataError for weights that cannot be had. Never falls back to random weights.
    """
    for name, value in (("drop_path", drop_path), ("drop_rate", drop_rate)):
        if not 0 <= value < 1:
            raise ConfigError(f"model 'timm': '{name}' is {value:g}, and must be at least 0 and below 1")
    if pretrained and weights is not None:
        raise ConfigError("model 'timm': both 'pretrained' and 'weights' are given", hint="leave one of them out")
    if reset_head and weights is None:
        raise ConfigError("model 'timm': 'reset_head' needs 'weights'", hint="timm's own weights get a new head anyway")
    channels, height, width = image_shape(io)
    options: dict[str, Any] = {"num_classes": class_count(io), "in_chans": channels}
    options |= {"drop_path_rate": drop_path} if drop_path else {}
    options |= {"drop_rate": drop_rate} if drop_rate else {}
    by_hand = "`weights: FILE` and `reset_head: true`"
    net = create_net("model 'timm'", arch, (height, width), options, pretrained, by_hand)
    notes = []
    if pretrained:
        notes.append(f"timm's pretrained weights of '{arch}', with a classifier for {class_count(io)} classes")
    if stem == "cifar":
        _use_cifar_stem(net, arch, image_shape(io)[0])
        notes.append("stem: 3x3 convolution with stride 1, no max-pooling" + ("; not pretrained" if pretrained else ""))
    head = head_of(net)
    if weights is not None:
        notes.append(load_weights(net, weights, head, "new" if reset_head else "file"))
    notes += _native(net, arch, native_attention)
    return ImageClassifier(net, head, io, notes)


def create_net(
    who: str, arch: str, size: tuple[int, int], options: Mapping[str, Any], pretrained: bool, by_hand: str
) -> nn.Module:
    """An architecture of timm for images of `size` (height, width), with random or timm's own weights.

    Errors begin with `who`; `by_hand` says how a file stands in for weights that cannot be had. Raises ConfigError for
    an unknown architecture or options that it does not take, DataError for weights that cannot be had.
    """
    if not is_model(arch):
        near = difflib.get_close_matches(arch, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "timm.list_models() lists them all"
        raise ConfigError(f"{who}: unknown arch '{arch}'", hint)
    config = _pretrained_config(who, arch)
    options = dict(options)
    if config is not None and config.fixed_input_size:
        options["img_size"] = size
    if pretrained and (config is None or not config.has_weights):
        raise ConfigError(
            f"{who}: there are no pretrained weights of '{arch}'",
            hint="use `pretrained: false`, or give a file with `weights`",
        )
    # Built without weights first, so that a mistake in the options is not mistaken for missing weights.
    try:
        net: nn.Module = timm.create_model(arch, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        shown = ", ".join(f"{key}={value}" for key, value in options.items())
        raise ConfigError(
            f"{who}: '{arch}' cannot be built with {shown}: {error}",
            hint="the architecture does not take one of these; choose other options or another architecture",
        ) from error
    return _pretrained(who, arch, options, by_hand) if pretrained and initial_weights_wanted() else net


def _pretrained_config(who: str, arch: str) -> Any:
    try:
        return timm.get_pretrained_cfg(arch)
    except RuntimeError as error:
        name, _, tag = arch.partition(".")
        known = [full for full in timm.list_models(f"{name}.*", pretrained=True) if full.partition(".")[0] == name]
        raise ConfigError(
            f"{who}: arch '{name}' has no weights with the tag '{tag}'", f"known: {', '.join(known) or 'none'}"
        ) from error


def _pretrained(who: str, arch: str, options: Mapping[str, Any], by_hand: str) -> nn.Module:
    try:
        net: nn.Module = timm.create_model(arch, pretrained=True, **options)
    except Exception as error:  # the network, the cache, the hub and timm each have errors of their own
        raise DataError(
            f"{who}: the pretrained weights of '{arch}' cannot be had: {type(error).__name__}: {error}",
            hint=f"connect to the network once so that timm can cache them, or put a file by hand and name it with "
            f"{by_hand}",
        ) from error
    return net


def _use_cifar_stem(net: nn.Module, arch: str, channels: int) -> None:
    if not isinstance(net, ResNet):
        raise ConfigError(
            f"model 'timm': '{arch}' has no `stem: cifar`; it is made for the ResNet family",
            hint="leave `stem` out, or choose a ResNet (resnet18, resnet50, seresnet50, resnext50_32x4d, …)",
        )
    trunk: Any = net  # timm annotates these two by their most elaborate form
    conv = nn.Conv2d(channels, trunk.bn1.num_features, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")  # as timm starts its own
    trunk.conv1 = conv
    trunk.maxpool = nn.Identity()


def head_of(net: nn.Module) -> list[str]:
    """Paths of the classifier's modules; distilled transformers have two."""
    get_classifier: Any = getattr(net, "get_classifier", None)
    found = get_classifier() if get_classifier else None
    heads: Sequence[Any] = found if isinstance(found, (tuple, list)) else [found]
    paths = [path for path, module in net.named_modules() if any(module is head for head in heads)]
    if not paths:
        raise ConfigError(f"{type(net).__name__} has no classifier that can be told", "choose another architecture")
    return paths


def _native(net: nn.Module, arch: str, choice: Literal["keep", "remove"]) -> list[str]:
    """Keep or remove the attention that the architecture has of its own; sentences about it."""
    gates = [path for path, module in net.named_modules() if type(module).__name__ in NATIVE_GATES]
    gates = [path for path in gates if not any(path.startswith(other + ".") for other in gates)]
    fixed = {type(m).__name__ for m in net.modules() if type(m).__name__ in NATIVE_CONVOLUTIONS}
    if choice == "keep":
        kept = len(gates) + sum(type(m).__name__ in fixed for m in net.modules())
        return [f"native attention kept ({kept} modules of '{arch}'); added blocks come after it"] if kept else []
    if fixed:
        raise ConfigError(
            f"model 'timm': `native_attention: remove` is not possible for '{arch}': "
            f"{', '.join(sorted(fixed))} is part of its convolutions",
            hint="use `native_attention: keep`, or an architecture without it",
        )
    for path in gates:
        parent, _, name = path.rpartition(".")
        setattr(net.get_submodule(parent), name, nn.Identity())
    return [f"native attention removed ({len(gates)} modules of '{arch}')" if gates else "no native attention removed"]
