"""The classifier that every model of this package is: a network, its groups for freezing, and its attention sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn

from harness.contracts import IO, AttentionFactory
from harness.errors import ConfigError
from harness_models.attach import attach_all
from harness_models.places import branch_end, layout_of, resolve

if TYPE_CHECKING:
    from harness.contracts import Batch, Output


class ImageClassifier(nn.Module):
    """Logits of a network for images; attention is attached to it after construction.

    Shapes: batch["inputs"] [B, C, H, W] float, normalised -> {"logits": [B, K] float32}.
    The plain network is `net`; attention lives in `sites.<site>.attention`, where the dots of the site are written as
    underscores. `notes` are sentences for the record, `placement_note` the one about the placement ("" before).

    Placements: `residual` is behind the last norm of the residual branch (and behind native attention there), before
    the addition, in ResNet-like blocks; blocks of any other kind (ConvNeXt, EfficientNet, RegNet, MobileNet, …) get
    it at their end, and `placement_note` says so. `block` is the output of every block, `stage` that of every stage,
    after addition and activation. A list names modules by path or pattern; attention is applied to their outputs.

    Where the last norm of a branch starts at zero (timm's default, kept), everything that attention behind it sees is
    zero at the first step, and so are its gradients; they are not from the second step on. A block behind a norm must
    not need its own output for its gradient (as a bare sigmoid does): timm adds the shortcut in place, and autograd
    then refuses with an error.
    """

    def __init__(self, net: nn.Module, head: Sequence[str], io: IO, notes: Sequence[str] = ()) -> None:
        """`head` are the paths in `net` of the classifier's modules."""
        super().__init__()
        self.net = net
        self.sites = nn.ModuleDict()
        self.notes = tuple(notes)
        self.placement_note = ""
        self._head = tuple(head)
        self._shape = image_shape(io)
        self._layout = layout_of(net)
        self._site_of: dict[str, str] = {}

    def forward(self, batch: Batch) -> Output:
        return {"logits": self.net(batch["inputs"]).float()}

    def attach(self, factory: AttentionFactory, placement: str | Sequence[str]) -> Sequence[str]:
        """Insert one block a site, in the order in which the sites are run; returns the sites.

        Raises ConfigError if there is no such place or it gives out no feature map [B, C, H, W]; nothing is changed.
        """
        places = resolve(self.net, self._layout, placement)
        added = attach_all(self.net, self.sites, places, factory, self._shape)
        self._site_of.update(added)
        self.placement_note = self._placement_note(placement)
        self.notes = (*self.notes, self.placement_note)
        return tuple(added.values())

    def _placement_note(self, placement: str | Sequence[str]) -> str:
        if not isinstance(placement, str):
            return "attention is applied to the outputs of the named modules"
        if placement != "residual":
            return f"attention is applied to the output of every {placement}"
        ends = [branch_end(self.net.get_submodule(block)) for block in self._layout.blocks]
        if None not in ends:
            return "attention sits at the end of every residual branch, before the addition"
        if any(ends):
            return "attention sits before the addition in ResNet-like blocks, at the block's end in the others"
        return "no block of this architecture is ResNet-like, so placement 'residual' is the output of every block"

    def groups(self) -> Mapping[str, nn.Module]:
        """`backbone` (all but the classifier), `backbone.<stage>`, `head`, and `attention` once there is any.

        Attention belongs to the backbone and to the stage that it sits in, and to `attention` as well.
        """
        attention = {site: self.sites[key] for key, site in self._site_of.items()}
        found: dict[str, nn.Module] = {
            "backbone": nn.ModuleList([*_without(self.net, self._head), *attention.values()])
        }
        for stage in self._layout.stages:
            inside = [module for site, module in attention.items() if site == stage or site.startswith(stage + ".")]
            found[f"backbone.{stage}"] = nn.ModuleList([self.net.get_submodule(stage), *inside])
        found["head"] = nn.ModuleList([self.net.get_submodule(path) for path in self._head])
        if attention:
            found["attention"] = nn.ModuleList(attention.values())
        return found

    def prefix(self) -> tuple[str, str, str] | None:
        """None: augmented images have no features that could be kept."""
        return None


def _without(module: nn.Module, head: Sequence[str], path: str = "") -> Iterator[nn.Module]:
    """The largest parts of `module` that hold nothing of the head, parameters of its own included."""
    own = list(module.parameters(recurse=False))
    if own:
        yield nn.ParameterList(own)
    for name, child in module.named_children():
        here = f"{path}{name}"
        if here in head:
            continue
        if any(h.startswith(here + ".") for h in head):
            yield from _without(child, head, here + ".")
        else:
            yield child


def image_shape(io: IO) -> tuple[int, int, int]:
    """(C, H, W) of one input. Raises ConfigError if the inputs are no images of one size."""
    spec = io.inputs.get("inputs")
    if spec is None or spec.axes != "CHW" or any(n is None for n in spec.shape):
        what = "there are none" if spec is None else f"axes '{spec.axes}', shape {spec.shape}"
        raise ConfigError(
            f"an image classifier reads 'inputs' with axes 'CHW' and a fixed shape, and here: {what}",
            hint="choose a dataset of images of one size, or another model",
        )
    channels, height, width = (int(n) for n in spec.shape if n is not None)
    return channels, height, width


def class_count(io: IO) -> int:
    """K, the number of logits. Raises ConfigError if the task asks for anything else."""
    spec = io.outputs.get("logits")
    if spec is None or len(spec.shape) != 1 or spec.shape[0] is None:
        raise ConfigError(
            f"an image classifier gives out 'logits' of shape [K]; asked for: {', '.join(io.outputs) or 'nothing'}",
            hint="use `task: classification`, or another model",
        )
    return spec.shape[0]
