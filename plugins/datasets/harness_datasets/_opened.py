"""An opened data set: its splits by name."""

from __future__ import annotations

from collections.abc import Mapping

from harness.contracts import Split, SplitName
from harness.errors import ConfigError

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class OpenedDataset:
    """Opened splits without folds. Raises ConfigError for a split or fold that there is not."""

    name = ""

    def __init__(self, splits: Mapping[SplitName, Split]) -> None:
        self._splits = splits

    def split(self, name: SplitName, fold: int = 0) -> Split:
        if name not in self._splits:
            raise ConfigError(f"{self.name} has no split '{name}'", hint=f"it has {', '.join(SPLITS)}")
        if fold != 0:
            raise ConfigError(f"{self.name} has no folds, so fold {fold} does not exist")
        return self._splits[name]
