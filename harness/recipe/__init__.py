"""Optimisers and schedules, registered like everything else so that a grid can name and vary them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hookspecs import hookimpl

if TYPE_CHECKING:
    from ..registry import Registry


@hookimpl
def harness_register(registry: Registry) -> None:
    def optimizer(name: str, summary: str, source: str, **example: object) -> None:
        target = f"harness.recipe.optimizers:{name}"
        registry.add("optimizer", name, target, summary=summary, source=source, example=example)

    def schedule(name: str, summary: str, source: str, **example: object) -> None:
        target = f"harness.recipe.schedules:{name}"
        registry.add("schedule", name, target, summary=summary, source=source, example=example)

    optimizer("sgd", "stochastic gradient descent with (Nesterov) momentum", "Sutskever et al. 2013")
    optimizer("adam", "adaptive moments", "Kingma and Ba 2015, arXiv:1412.6980")
    optimizer("adamw", "adaptive moments with decoupled weight decay", "Loshchilov and Hutter 2019, arXiv:1711.05101")
    optimizer("timm", "any optimiser of timm, by its name there", "timm.optim.list_optimizers()", opt="sgd")
    schedule("constant", "the same rate throughout, after warm-up", "original")
    schedule("cosine", "half a cosine from the rate to lr_min", "Loshchilov and Hutter 2017, arXiv:1608.03983")
    schedule("linear", "straight from the rate to lr_min", "original")
    schedule("step", "times `rate` at every milestone", "He et al. 2016, arXiv:1512.03385", milestones=(2, 3))
    schedule("onecycle", "up to the rate in a straight line, then down", "Smith and Topin 2018, arXiv:1708.07120")
