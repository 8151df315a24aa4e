"""A worker process: reads trials as JSON lines, writes events and records as JSON lines.

JSON, because nothing that is read from a pipe should be able to run. The worker ends when its parent does: its
standard input then closes, whatever killed the parent.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from ..restore import from_plain
from ..store import Store
from ..trial import Trial, to_plain

MARK = "\x1e"
"""Begins every line of the protocol, so that what an interpreter's start-up prints is not taken for one."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.executors.worker")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--loader-processes", type=int, default=0)
    parser.add_argument("--no-plugins", action="store_true")
    arguments = parser.parse_args()
    # A component that prints must not break the protocol: its standard output becomes standard error.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    _serve(arguments, lines, channel)


def _read(lines: queue.Queue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _serve(arguments: argparse.Namespace, lines: queue.Queue[str], channel: TextIO) -> None:
    from .. import discovery
    from ..engine import Run, run_trial

    registry = discovery.load(third_party=not arguments.no_plugins).registry
    store = Store(arguments.store)
    run = Run(arguments.data, arguments.device, arguments.threads, arguments.loader_processes)

    def tell(event: str, **values: Any) -> None:
        channel.write(MARK + json.dumps({"event": event, **to_plain(values)}) + "\n")

    while True:
        trial = from_plain(Trial, json.loads(lines.get()), "worker")

        def epoch(number: int, values: Mapping[str, float]) -> None:
            tell("epoch", epoch=number, values=values)

        def progress(done: int, total: int, loss: float) -> None:
            tell("progress", done=done, total=total, loss=loss)

        tell("record", record=run_trial(trial, registry, store.sink(trial, epoch, progress), run))


if __name__ == "__main__":
    main()
