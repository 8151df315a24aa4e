"""The folder of one video: what is written there, and in what words."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data import Sampled
from ..environment import versions
from ..report.escaping import shorten
from ..trial import Record
from .cautions import cautions, noted
from .clock import counted, length, stamp
from .curve import Curve, curve_jpeg
from .grid import CELL, MOST, grid_jpeg
from .listening import Predicted
from .page import Card, Page, Still, render
from .saving import save, writing
from .scoring import Scorer
from .selection import Keyframe, Wish, shown
from .stills import fitted, full_size, jpeg, stills

if TYPE_CHECKING:
    from PIL.Image import Image

Array: TypeAlias = "np.ndarray[Any, Any]"

_OURS = re.compile(r"keyframe_\d{3,}_(\d{2,}h)?\d{2}m\d{2}\.\ds\.jpg")
_STRIP = (18, 160)
"""Frames of a strip are about an 18th as high as the page is wide; pixels that are kept of them, for sharp screens."""


@dataclass(slots=True)
class Writer:
    """Writes one video's folder; every file appears whole, index.html last: where it is, all else belongs to it.

    Keyframes of an earlier run that are gone from this one are removed, and its index.html; nothing else is.
    """

    folder: Path
    path: Path
    record: Record
    wish: Wish

    def write(
        self, sampled: Sampled, logits: Array, places: Array, scorer: Scorer, told: Callable[[int, int], None]
    ) -> Predicted:
        """logits [T] of the sampled frames; `places` of the keyframes among them, from the highest score down.

        Raises DataError if a keyframe cannot be decoded at full size, StoreError if the folder cannot be written.
        """
        scores = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
        keyframes = _keyframes(sampled, scores, places)
        rate = scorer.reading.rate
        curve = Curve(sampled.times, scores, _end(sampled, rate), keyframes)
        warnings = (*self._warnings(sampled, rate), *cautions(self.record, scorer.model))
        with writing(self.folder):
            (self.folder / "index.html").unlink(missing_ok=True)
        cards, strip = self._pictures(sampled, curve, told)
        some = [c.keyframe for c in cards]
        note = self._note(keyframes, len(some), len(scores))
        title = shorten(self.path.name, 70)
        save(self.folder, "keyframes_grid.jpg", grid_jpeg([c.image for c in cards], some, title, note))
        many = f"{counted(len(keyframes), 'keyframe')} of {counted(len(scores), 'sampled frame')}"
        above = f"{many} · trial {self.record.id}"
        save(self.folder, "importance_curve.jpg", curve_jpeg(curve, f"Importance over time: {title}", above))
        save(self.folder, "scores.csv", _csv(sampled, scores, keyframes))
        page = Page(
            title=self.path.name,
            lead=self._lead(curve),
            warnings=warnings,
            curve=curve,
            strip=strip,
            cards=[Card(c.keyframe, jpeg(c.image, 82)) for c in cards],
            portrait=sampled.info.height > sampled.info.width,
            note=note,
            facts=self._facts(sampled, scorer),
        )
        self._tidy({k.file for k in keyframes})
        # A name out of a damaged file system may hold half a character, which UTF-8 refuses.
        save(self.folder, "index.html", render(page).encode("utf-8", "replace"))
        return Predicted(self.path, self.folder / "index.html", len(scores), keyframes, warnings)

    # ----------------------------------------------------------------------------------------------------- files

    def _tidy(self, kept: set[str]) -> None:
        with writing(self.folder):
            for old in self.folder.iterdir():
                # A link is taken away itself, and never what it leads to; a folder of such a name is somebody's.
                if _OURS.fullmatch(old.name) and old.name not in kept and (old.is_symlink() or old.is_file()):
                    old.unlink()

    def _pictures(
        self, sampled: Sampled, curve: Curve, told: Callable[[int, int], None]
    ) -> tuple[list[_Small], list[Still]]:
        """Write the keyframes in one pass through the file, and keep small pictures for the sheet and the page."""
        files = {k.frame: k for k in curve.keyframes}
        ranks = [k.rank for k in curve.keyframes]
        carded = {curve.keyframes[i].frame for i in shown(ranks, MOST)}
        places = _strip(sampled, curve.end)
        in_strip = {int(sampled.picks[p]) for p in places}
        picks = sorted(files.keys() | in_strip)
        cards: list[_Small] = []
        thumbs: dict[int, bytes] = {}
        for k, (frame, picture) in enumerate(zip(picks, stills(self.path, picks, sampled.info), strict=True)):
            told(k, len(picks))
            if frame in files:
                save(self.folder, files[frame].file, jpeg(picture, 90))
            if frame in carded:
                # A copy, as what was not shrunk is a view of a whole block of frames.
                cards.append(_Small(files[frame], fitted(picture, CELL, CELL).copy()))
            if frame in in_strip:
                thumbs[frame] = jpeg(fitted(picture, 4 * _STRIP[1], _STRIP[1]), 80)
        told(len(picks), len(picks))
        return cards, [Still(float(sampled.times[p]), thumbs[int(sampled.picks[p])]) for p in places]

    # ----------------------------------------------------------------------------------------------------- words

    def _lead(self, curve: Curve) -> str:
        model = self.record.trial.config.model.name
        return (
            f"{counted(len(curve.keyframes), 'keyframe')} of {counted(len(curve.scores), 'sampled frame')} in "
            f"{length(curve.end)} of video, by {model}, trial {self.record.id}."
        )

    def _note(self, keyframes: Sequence[Keyframe], pictured: int, frames: int) -> str:
        if pictured < len(keyframes):
            text = f"The {pictured} highest of {len(keyframes):,} keyframes, in order of time, each with time and score"
        elif len(keyframes) == 1:
            text = "One keyframe, with time and score"
        else:
            text = f"{len(keyframes)} keyframes in order of time, each with time and score"
        wanted = self.wish.count(frames)
        if len(keyframes) < wanted:
            text += f"; {wanted:,} were asked for, and all others are too near one of these or too like it"
        return text + "."

    def _warnings(self, sampled: Sampled, rate: float) -> list[str]:
        info = sampled.info
        found = []
        if info.short:
            found.append(
                f"The file is cut off: about {info.short:.1f} s are missing at its end; what is there was scored."
            )
        if 0 < info.fps < 0.99 * rate:
            found.append(
                f"The video has {counted(info.fps, 'frame')} a second, and the model was trained on {rate:g}: every "
                "frame was scored, but the model takes the video for a faster one."
            )
        if len(sampled) == 1:
            found.append("The video has one frame, so there is nothing to choose.")
        return found

    def _facts(self, sampled: Sampled, scorer: Scorer) -> list[tuple[str, str]]:
        config, info, size = self.record.trial.config, sampled.info, scorer.reading.size
        attention = "" if config.attention.name == "none" else f" with attention {config.attention.label()}"
        losses = " + ".join(term.loss.label() for term in config.loss)
        epochs = counted(config.train.epochs, "epoch")
        pictures = full_size(info)
        fold = f", fold {config.fold}" if config.fold else ""
        at_full = "of the video's size" if pictures == (info.height, info.width) else f"{pictures[1]} pixels wide"
        return [
            ("Model", config.model.label() + attention),
            (
                "Trial",
                f"{self.record.id}: task {config.task.label()}, trained on {config.dataset.label()}, loss {losses}, "
                f"{epochs}, seed {config.seed}{fold}",
            ),
            (
                "Video",
                f"{info.width} × {info.height} pixels, {counted(info.fps, 'frame')} a second, "
                f"{counted(info.frames, 'frame')}",
            ),
            (
                "Sampling",
                f"{counted(scorer.reading.rate, 'frame')} a second, by the file's own time stamps: "
                f"{counted(len(sampled), 'frame')}, "
                f"squashed to {size[1]} × {size[0]} pixels for the model",
            ),
            (
                "Score",
                "the sigmoid of the model's output for a frame, where the model sees all sampled frames of the video",
            ),
            ("Keyframes", self.wish.rule()),
            *noted(self.record),
            (
                "Files",
                f"scores.csv (every sampled frame), importance_curve.jpg, keyframes_grid.jpg, and a JPEG {at_full} of "
                "every keyframe: a picture above opens its own, as long as this page lies beside them",
            ),
            ("Program", f"ablation-harness {versions()['ablation-harness']}, on {scorer.device}"),
        ]


@dataclass(frozen=True, slots=True)
class _Small:
    keyframe: Keyframe
    image: Image


def _keyframes(sampled: Sampled, scores: Array, places: Array) -> tuple[Keyframe, ...]:
    """In order of time; `places` from the highest score down."""
    ranks = {int(place): rank for rank, place in enumerate(places, start=1)}
    digits = max(3, len(str(len(places))))
    found = []
    for number, place in enumerate(sorted(ranks), start=1):
        seconds = float(sampled.times[place])
        file = f"keyframe_{number:0{digits}d}_{stamp(seconds)}.jpg"
        found.append(Keyframe(number, ranks[place], int(sampled.picks[place]), seconds, float(scores[place]), file))
    return tuple(found)


def _end(sampled: Sampled, rate: float) -> float:
    """Seconds at which the last sampled frame has been shown for as long as the others."""
    fps = sampled.info.fps
    return float(sampled.times[-1]) + (max(1 / rate, 1 / fps) if fps > 0 else 1 / rate)


def _strip(sampled: Sampled, end: float) -> list[int]:
    """Places of the samples that are shown in the middle of equal parts of the video; an even number, for phones."""
    proportion = sampled.info.width / sampled.info.height
    count = min(24, max(6, 2 * round(_STRIP[0] / proportion / 2)))
    middles = (np.arange(count) + 0.5) * end / count
    return [int(p) for p in np.searchsorted(sampled.times, middles, side="right") - 1]


def _csv(sampled: Sampled, scores: Array, keyframes: Sequence[Keyframe]) -> bytes:
    """One row a sampled frame: its place in the video, its time, its score, and whether it is a keyframe (1 or 0)."""
    picked = {k.frame for k in keyframes}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("frame", "seconds", "score", "keyframe"))
    for pick, time, score in zip(sampled.picks.tolist(), sampled.times.tolist(), scores.tolist(), strict=True):
        writer.writerow((pick, f"{time:.3f}", f"{score:.6f}", int(pick in picked)))
    return text.getvalue().encode()
