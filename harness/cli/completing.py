"""What a shell offers behind <TAB>: kinds, components, datasets, trackers, studies, trials and keys of a grid.

Functions for `shell_complete=` of click's arguments and options. They look at names alone: no component, no HDF5 file
and no record beyond a few is opened, because a user waits for the answer.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from ..errors import HarnessError

VARIABLE = "_HARNESS_COMPLETE"
PROGRAM = "harness"
GRID = (
    "task",
    "dataset",
    "model",
    "attention",
    "placement",
    "loss",
    "augment",
    "train",
    "study",
    "title",
    "seeds",
    "folds",
    "baseline",
    "design",
    "axes",
    "exclude",
    "claims",
    "reach",
    "controls",
    "evaluate",
)
"""Keys of a grid, written here too since the room `grid` takes longer to import than a user waits; a test compares."""
TRAIN = (
    "epochs",
    "optimizer",
    "schedule",
    "clip_norm",
    "freeze",
    "train_only",
    "freeze_bn",
    "batch_size",
    "precision",
    "channels_last",
    "compile",
    "deterministic",
    "ema",
    "choose",
    "balance",
    "stages",
)
DESCRIBED = 50
"""At most so many trials are described; beyond that, ids alone."""
_LARGEST = 1 << 20  # bytes of a record that is read for its description
_LISTING = ("33", "63", "64")
"""Bash's COMP_TYPE where it lists words: `!`, `?` and `@`."""
_LINE = 56
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
Items = list[CompletionItem]


def kinds(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    from ..registry import KINDS

    return _items(KINDS, incomplete)


def components(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Names of the kind that stands before, with their summaries."""
    return _named(context, str(context.params.get("kind")), incomplete)


def datasets(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    chosen = context.params.get("names") or ()
    return [i for i in _named(context, "dataset", incomplete) if i.value not in chosen]


def trackers(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    return _named(context, "tracker", incomplete)


def providers(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Entry points of installed plugins; none of them is loaded."""
    return _items(sorted({p.name for p in metadata.entry_points(group="harness")}), incomplete)


def kinds_and_providers(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    return kinds(context, parameter, incomplete) + providers(context, parameter, incomplete)


def devices(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    return _items(("auto", "cpu", "cuda", "mps"), incomplete)


def settings(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """`train.epochs=`, …: keys for --set; what a value may be is not known here."""
    return _items([f"{k}=" for k in (*GRID, *(f"train.{k}" for k in TRAIN))], incomplete)


def studies(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Studies of the store that the line names."""
    other = context.params.get("runs_b") if parameter.name == "study_b" else None
    return _items(_files(other or context.params.get("runs"), "studies/*.json"), incomplete)


def trials(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Finished trials of the store that the line names; failed ones are left out as far as records are read."""
    root = context.params.get("runs")
    found = [n for n in _files(root, "trials/*/record.json", parent=True) if n.startswith(incomplete)]
    if len(found) > DESCRIBED:
        return _items(found, incomplete)
    described = {n: _describe(Path(str(root)) / "trials" / n / "record.json") for n in found}
    return [CompletionItem(n, help=text or None) for n, text in described.items() if text is not None]


def _files(root: Any, pattern: str, parent: bool = False) -> list[str]:
    if not isinstance(root, (str, Path)):
        return []
    found = sorted((p.parent.name if parent else p.stem) for p in Path(root).glob(pattern))
    return [n for n in found if _SAFE.fullmatch(n)]  # nothing else can be a name, and it could end the shell's line


def _describe(path: Path) -> str | None:
    """`se(reduction=8) on resnet20, digits, seed 0`; empty if the record cannot be read; None without a model."""
    from ..restore import from_plain
    from ..trial import Choice

    try:
        if path.stat().st_size > _LARGEST:
            return ""
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] != "ok":
            return None
        config = record["trial"]["config"]
        attention, model = (from_plain(Choice, config[k]).label() for k in ("attention", "model"))
        fold = f", fold {config['fold']}" if config.get("fold") else ""
        return _line(f"{attention} on {model}, {config['dataset']['name']}, seed {config['seed']}{fold}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, HarnessError):
        return ""


def _named(context: click.Context, kind: str, incomplete: str) -> Items:
    from .. import discovery
    from ..registry import KINDS

    if kind not in KINDS:
        return []
    third_party = not context.find_root().params.get("no_plugins")
    found = discovery.load(third_party).registry.components(kind)
    return [CompletionItem(c.name, help=_line(c.summary) or None) for c in found if c.name.startswith(incomplete)]


def _items(names: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(n) for n in names if n.startswith(incomplete)]


def _line(text: str) -> str:
    """A description on one line, without what a terminal takes for commands."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# ---------------------------------------------------------------------------------------------- the shells' side


class Bash(BashComplete):
    """No space behind a key that wants a value; descriptions where bash lists what there is.

    bash would put a description into the line, so it gets none where one word is left, or where <TAB> goes through them
    in turn. Of several it inserts what they have in common, which ends within the words.
    """

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", 'COMPREPLY+=("$value")\n            [[ $value == *= ]] && compopt -o nospace'
    ).replace("env COMP_WORDS=", 'env COMP_TYPE="$COMP_TYPE" COMP_WORDS=')

    def complete(self) -> str:
        items = self.get_completions(*self.get_completion_args())
        listing = len(items) > 1 and os.environ.get("COMP_TYPE", "") in _LISTING
        return "\n".join(self.format_completion(i) + (_behind(i) if listing else "") for i in items)

    @staticmethod
    def _check_version() -> None:
        """click would run a bash to look; its script asks for 4.4, and the help page says so."""


def _behind(item: CompletionItem) -> str:
    """A description in the form that zsh and fish give it; of one line of a terminal."""
    text = item.help or ""
    return f"  ({text if len(text) <= _LINE else text[: _LINE - 1] + '…'})" if text else ""


class Zsh(ZshComplete):
    source_template = ZshComplete.source_template.replace(
        "compadd -U -V", 'compadd -S "${${completions[1]:#*=}:+ }" -U -V'
    )


SHELLS: Mapping[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": FishComplete}


def script(program: click.Command, shell: str) -> str:
    """What the shell runs once, so that it asks this program from then on."""
    return SHELLS[shell](program, {}, PROGRAM, VARIABLE).source()


def answer(program: click.Command, instruction: str) -> int:
    """Answer a shell that asks through the environment (`bash_complete`). Whatever goes wrong, nothing is offered."""
    shell, _, wanted = instruction.partition("_")
    if shell not in SHELLS or wanted not in ("complete", "source"):
        return 1
    text = ""
    with _silence() as channel:
        with suppress(Exception, SystemExit):  # a plugin may raise anything, and the user is in the middle of a line
            if wanted == "source":
                text = script(program, shell)
            else:
                text = SHELLS[shell](program, {}, PROGRAM, VARIABLE).complete()
        with suppress(OSError):
            os.write(channel, (text + "\n").encode(errors="replace"))
    return 0


@contextmanager
def _silence() -> Iterator[int]:
    """The real standard output; what anything else prints, now or at the end, would land in the user's line."""
    channel = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    yield channel
