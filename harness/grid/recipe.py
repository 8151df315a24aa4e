"""`train`: how a trial trains, in one stage or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..registry import suggest
from ..trial import Recipe, Stage
from .nodes import BOOLEANS, Node
from .tree import assign

if TYPE_CHECKING:
    from .components import Parts

STAGE = ("epochs", "optimizer", "lr", "schedule", "clip_norm", "freeze", "train_only", "freeze_bn")
SWITCHES = ("channels_last", "compile", "deterministic")
TRAIN = (*(k for k in STAGE if k != "lr"), "batch_size", "precision", *SWITCHES, "ema", "choose", "balance", "stages")
PER_STAGE = ("epochs", "freeze", "train_only", "freeze_bn")
INHERITED = ("optimizer", "schedule", "clip_norm")
MAX_EPOCHS = 1_000_000
_ELSEWHERE = {
    "lr": "write optimizer: {name: sgd, lr: …}",
    "weight_decay": "write optimizer: {name: sgd, weight_decay: …}",
    "momentum": "write optimizer: {name: sgd, momentum: …}",
    "label_smoothing": "it is an option of the loss: {name: cross_entropy, label_smoothing: …}",
    "warmup_epochs": "write schedule: {name: cosine, warmup_epochs: …}",
    "seed": "write seeds beside train",
    "seeds": "write seeds beside train",
}


def check(node: Node, parts: Parts) -> Recipe | None:
    """The recipe, or None after a mistake."""
    if not isinstance(node.value, Mapping):
        parts.mistakes.add(node, f"{node.shown()}: a mapping is meant", "for instance train: {epochs: 10}")
        return None
    reader = _Reader(parts)
    fields = reader.known(node, TRAIN, "train")
    stages = reader.stages(node, fields)
    settings: dict[str, Any] = {}
    if "batch_size" in fields:
        settings["batch_size"] = reader.whole(fields["batch_size"], "the batch size")
    for key in SWITCHES:
        if key in fields:
            settings[key] = reader.switch(fields[key])
    if "ema" in fields and fields["ema"].value is not None:
        settings["ema"] = reader.good(parts.number(fields["ema"], above=0, below=1, name="a decay"))
    if "choose" in fields:
        settings["choose"] = reader.word(fields["choose"], ("last", "best"))
    if "balance" in fields:
        settings["balance"] = reader.word(fields["balance"], ("none", "gradient_norm"))
    settings["precision"] = parts.context.precision
    if "precision" in fields and fields["precision"].value != "auto":
        settings["precision"] = reader.word(fields["precision"], ("auto", "fp32", "bf16"))
    return Recipe(tuple(stages), **settings) if reader.fine else None


class _Reader:
    """Reads fields; `fine` turns false with the first mistake."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.fine = parts, True

    def wrong(self, node: Node, what: str, hint: str | None = None) -> None:
        self.fine = False
        self.parts.mistakes.add(node, what, hint)

    def good(self, value: Any) -> Any:
        self.fine &= value is not None
        return value

    def known(self, node: Node, allowed: tuple[str, ...], of: str) -> dict[str, Node]:
        found = {}
        for key, child in node.entries.items():
            if key in allowed:
                found[key] = child
            elif not self.parts.unused_option(child, allowed):
                self.wrong(child, f"unknown key '{key}' of {of}", _ELSEWHERE.get(key) or suggest(key, allowed))
        return found

    def stages(self, node: Node, fields: Mapping[str, Node]) -> list[Stage]:
        if "stages" not in fields:
            if "epochs" not in fields:
                self.wrong(node, "the key 'epochs' is missing", "write how many epochs to train, or stages")
                return []
            stage = self.stage(node, fields)
            return [] if stage is None else [stage]
        for key in PER_STAGE:
            if key in fields:
                self.wrong(fields[key], f"'{key}' stands beside 'stages'", f"give every stage its own {key}")
        listed = fields["stages"]
        if not listed.items:
            self.wrong(
                listed, f"{listed.shown()}: a list of stages is meant", "for instance [{epochs: 10}, {epochs: 20}]"
            )
        found = []
        for item in listed.items:
            if not isinstance(item.value, Mapping):
                self.wrong(item, f"{item.shown()}: a mapping is meant", "for instance {epochs: 10, freeze: [backbone]}")
                continue
            own = self.known(item, STAGE, "a stage")
            if "epochs" not in own:
                self.wrong(item, "the key 'epochs' is missing", "every stage says how many epochs it lasts")
                continue
            stage = self.stage(item, {k: fields[k] for k in INHERITED if k in fields} | own)
            found += [] if stage is None else [stage]
        return found

    def stage(self, node: Node, fields: Mapping[str, Node]) -> Stage | None:
        optimizer = fields["optimizer"]
        if "lr" in fields:
            own = node.entries.get("optimizer")
            if own is not None and "lr" in own.entries:
                self.wrong(fields["lr"], "'lr' is given twice: here and in the stage's optimizer", "leave one out")
            optimizer = assign(optimizer, ("lr",), fields["lr"]) or optimizer
        epochs = self.whole(fields["epochs"], "the number of epochs", MAX_EPOCHS)
        chosen = self.good(self.parts.component("optimizer", optimizer))
        schedule = self.good(self.parts.component("schedule", fields["schedule"]))
        rest: dict[str, Any] = {}
        for key in ("freeze", "train_only"):
            if key in fields:
                rest[key] = self.good(self.parts.names(fields[key]))
        if "freeze_bn" in fields:
            rest["freeze_bn"] = self.switch(fields["freeze_bn"])
        clip = fields.get("clip_norm")
        if clip is not None and clip.value is not None:
            rest["clip_norm"] = self.good(self.parts.number(clip, above=0, name="a norm"))
        return Stage(epochs, chosen, schedule, **rest) if self.fine else None

    def whole(self, node: Node, what: str, most: int = 2**31) -> int:
        if isinstance(node.value, int) and not isinstance(node.value, bool) and 1 <= node.value <= most:
            return node.value
        self.wrong(node, f"{node.shown()}: {what} is a whole number from 1")
        return 1

    def switch(self, node: Node) -> bool:
        if isinstance(node.value, bool):
            return node.value
        self.wrong(node, f"{node.shown()}: true or false is meant")
        return False

    def word(self, node: Node, words: tuple[str, ...]) -> str:
        if isinstance(node.value, str) and node.value in words:
            return node.value
        hint = BOOLEANS if isinstance(node.value, bool) else suggest(str(node.value), words)
        self.wrong(node, f"{node.shown()} is none of {', '.join(words)}", hint)
        return words[0]
