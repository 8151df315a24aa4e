"""Weights & Biases: one run a trial, in the project WANDB_PROJECT (or `ablation-harness`), grouped by study.

WANDB_MODE=offline keeps runs in ./wandb; `wandb sync` sends them later.
"""

from __future__ import annotations

import netrc
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..hookspecs import hookimpl
from ..trial import Record, Study, Trial
from . import wording

NOTE = "wandb.json"
PROJECT = "ablation-harness"


@dataclass(slots=True)
class _Run:
    run: Any
    note: Path
    epoch: int  # the last that the run has


class Wandb:
    """The configuration, metrics by epoch, final metrics and the status of every trial.

    Raises ConfigError if the library is not installed, or if runs would be sent to a server without a login.
    """

    def __init__(self) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ConfigError(
                f"tracker 'wandb' needs the library wandb: {error}", hint="pip install 'ablation-harness[wandb]'"
            ) from error
        try:
            settings = wandb.setup(settings=wandb.Settings(silent=True)).settings
        except Exception as error:  # a value in the environment or a settings file that the library does not take
            raise ConfigError(
                f"tracker 'wandb' cannot start: {error}", hint="WANDB_MODE is online or offline"
            ) from error
        if settings.mode not in ("offline", "disabled", "dryrun") and not _logged_in(settings):
            # The library would ask for a key in the middle of the study, and wait.
            raise ConfigError(
                "tracker 'wandb' has no key for its server",
                hint="run `wandb login`, set WANDB_API_KEY, or keep runs here with WANDB_MODE=offline",
            )
        self._wandb = wandb
        self._runs: dict[str, _Run] = {}

    @hookimpl
    def harness_trial_started(self, trial: Trial, directory: Path, study: Study) -> None:
        note = directory / NOTE
        before = wording.read_note(note)
        known = isinstance(before.get("run"), str) and isinstance(before.get("epoch"), int)
        name, epoch = (before["run"], before["epoch"]) if known else (f"{trial.id[:8]}-{secrets.token_hex(4)}", 0)
        run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=name,
            resume="allow",
            name=wording.name(trial, study),
            group=os.environ.get("WANDB_RUN_GROUP") or study.name,
            config={
                **wording.parameters(trial),
                "harness.trial": trial.id,
                "harness.study": study.name,
                "harness.row": wording.row(trial, study),
            },
            reinit="create_new",  # several trials run at a time
            settings=self._wandb.Settings(silent=True, console="off"),
        )
        self._runs[trial.id] = _Run(run, note, epoch)
        wording.write_note(note, {"run": name, "epoch": epoch})

    @hookimpl
    def harness_epoch_finished(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        here = self._runs.get(trial.id)
        if here is None or epoch <= here.epoch:
            return
        here.run.log(dict(values), step=epoch)
        here.epoch = epoch
        wording.write_note(here.note, {"run": here.run.id, "epoch": epoch})

    @hookimpl
    def harness_trial_finished(self, record: Record) -> None:
        here = self._runs.pop(record.id, None)
        if here is None:  # trained by another process, which told of it
            return
        here.run.summary.update({**wording.results(record), "harness.status": record.status})
        if record.reason:
            here.run.summary.update({"harness.reason": wording.reason(record)})
        here.run.finish(exit_code=0 if record.status == "ok" else 1)


def _logged_in(settings: Any) -> bool:
    """Is there a key where the library looks for one: in the environment, or in the file that `wandb login` writes?"""
    if settings.api_key or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(settings.base_url).hostname or ""
    chosen = os.environ.get("NETRC")
    files = [Path(chosen)] if chosen else [Path.home() / ".netrc", Path.home() / "_netrc"]
    for file in files:
        try:
            if netrc.netrc(str(file)).authenticators(host) is not None:
                return True
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue
    return False
