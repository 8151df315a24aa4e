"""The folder of a prediction on images: what is written there, and in what words."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..environment import versions
from ..report.escaping import csv_text, one_line, shorten
from ..store import replacing
from ..trial import Record
from .cautions import noted
from .clock import counted
from .explaining import Explained, composed
from .images_page import Card, ImagesPage, View, render_images
from .listening import Classified, Failure
from .reading import ImageReading
from .saving import save, writing
from .sheet import enlarged, sheet_jpeg
from .stills import jpeg

if TYPE_CHECKING:
    from PIL.Image import Image

FORMAT = "predictions of images/1"
_OURS = re.compile(r"explain_[^/\\]+\.jpg")
_SHEET = "predictions.jpg"
_LISTED = 2000
_ENLARGED = "enlarged from"


def withdrawn(out: Path) -> frozenset[str]:
    """Take an earlier prediction's index.html away; the names of the pictures that its predictions.json calls its own.

    Raises StoreError.
    """
    with writing(out):
        (out / "index.html").unlink(missing_ok=True)
    try:
        told = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
        ours = told["format"] == FORMAT
        names = [n for n in told["pictures"] if n == _SHEET or _OURS.fullmatch(n)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    return frozenset(names) if ours else frozenset()


@dataclass(slots=True)
class Folder:
    """Writes one prediction; every file appears whole, index.html last: where it is, all else belongs to it.

    `old` are the names of an earlier prediction's pictures: those that are gone from this one are removed, with its
    tables and page, and nothing else is. predictions.json names all pictures before the first of them is written, so
    that after an interruption the next prediction knows them. `cautions` are sentences about the trial, `together` the
    images a batch.
    """

    folder: Path
    record: Record
    reading: ImageReading
    device: str
    explain: bool
    old: frozenset[str] = frozenset()
    cautions: tuple[str, ...] = ()
    together: int = 1
    done: list[Classified] = field(default_factory=list)
    _cards: list[Card] = field(default_factory=list)
    _thumbs: list[Image] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)
    _files: dict[Path, str] = field(default_factory=dict)

    def begin(self, paths: Sequence[Path]) -> None:
        """Before the first of these images. Raises StoreError."""
        if self.explain:
            self._files = {path: self._name(path) for path in paths}
        head = {
            "format": FORMAT,
            "trial": self.record.id,
            "finished": False,
            "pictures": sorted({_SHEET, *self.old, *self._files.values()}),
            "images": [],
        }
        with writing(self.folder):
            (self.folder / "predictions.csv").unlink(missing_ok=True)
        save(self.folder, "predictions.json", (json.dumps(head, indent=1) + "\n").encode())

    def add(self, one: Classified, explained: Explained | None, thumb: Image | None) -> None:
        """The next image. Raises StoreError."""
        if explained is not None:
            file = self.folder / self._files[one.path]
            title = f"{one_line(one.path.name)}: {one_line(one.label)}, {100 * one.probability:.1f} %"
            save(self.folder, file.name, jpeg(composed(explained, title), 90))
            one = replace(one, explained=file)
        if thumb is not None:
            self._thumbs.append(thumb)
            views = [View(jpeg(p.picture, 82), p.caption) for p in explained.panels] if explained else []
            self._cards.append(
                Card(one, jpeg(enlarged(thumb, 320), 82), views, explained.channels if explained else ())
            )
        self.done.append(one)

    def finish(self, failures: Sequence[Failure]) -> Path | None:
        """Tables, sheet and page of all that was added; the page. Raises StoreError.

        Where nothing was added, predictions.json with the failures is all that there is.
        """
        pictures = [_SHEET, *(one.explained.name for one in self.done if one.explained)] if self.done else []
        with writing(self.folder):
            for name in self.old.difference(pictures):
                _remove(self.folder / name)
        page = self._show(failures) if self.done else None
        with writing(self.folder), replacing(self.folder / "predictions.json") as part:
            self._json(part, failures, pictures)
        if page is None:
            return None
        # A name out of a damaged file system may hold half a character, which UTF-8 refuses.
        save(self.folder, "index.html", render_images(page).encode("utf-8", "replace"))
        return self.folder / "index.html"

    def _show(self, failures: Sequence[Failure]) -> ImagesPage:
        """Write sheet and table; the page."""
        trial = self.record.id
        note = self._note()
        title = f"{counted(len(self.done), 'image')} by {shorten(self._model(), 60)}, trial {trial}"
        save(self.folder, _SHEET, sheet_jpeg(self._thumbs, self.done[: len(self._thumbs)], title, note))
        with writing(self.folder), replacing(self.folder / "predictions.csv") as part:
            self._csv(part)
        counts = Counter(one.label for one in self.done)
        return ImagesPage(
            title=f"{counted(len(self.done), 'image')}, classified",
            lead=f"By {self._model()}, trial {trial}.",
            warnings=self._warnings(failures),
            note=note,
            cards=self._cards,
            counts=sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])),
            listed=self.done[:_LISTED],
            unlisted=max(0, len(self.done) - _LISTED),
            facts=self._facts(),
            explained=self.explain,
        )

    # ----------------------------------------------------------------------------------------------------- files

    def _name(self, path: Path) -> str:
        """explain_<name>.jpg; numbered where that is taken, also on drives that ignore case; of a bounded length.

        Taken is a name also where somebody's own file has it.
        """
        stem = re.sub(r'[<>:"/\\|?*\x00-\x1f\ud800-\udfff]', "_", path.stem).strip(". ")[:50] or "image"
        number = self._names.get(stem.casefold(), 0) + 1
        while self._taken(name := stem if number == 1 else f"{stem}_{number}"):
            number += 1
        self._names[stem.casefold()] = number
        self._names.setdefault(name.casefold(), 1)
        return f"explain_{name}.jpg"

    def _taken(self, name: str) -> bool:
        file = f"explain_{name}.jpg"
        return name.casefold() in self._names or (file not in self.old and os.path.lexists(self.folder / file))

    def _csv(self, part: Path) -> None:
        """One row an image; cells that a spreadsheet would take for a formula begin with an apostrophe."""
        top = len(self.done[0].top)
        with part.open("w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            ranked = [f"{word}_{k}" for k in range(1, top + 1) for word in ("class", "probability")]
            writer.writerow(("file", "predicted", "probability", *ranked))
            for one in self.done:
                cells = [cell for name, p in one.top for cell in (csv_text(name), f"{p:.6f}")]
                writer.writerow((csv_text(one.path), csv_text(one.label), f"{one.probability:.6f}", *cells))

    def _json(self, part: Path, failures: Sequence[Failure], pictures: Sequence[str]) -> None:
        """Image by image, as all probabilities of thousands together would be a large text."""
        head = {
            "format": FORMAT,
            "trial": self.record.id,
            "finished": True,
            "model": self._model(),
            "dataset": self.record.trial.config.dataset.label(),
            "classes": list(self.reading.classes),
            "preprocessing": {"words": self._preparation(), **self._numbers()},
            "device": self.device,
            "versions": dict(versions()),
            "warnings": list(self.cautions),
            "notes": list(self.record.notes),
            "failures": [{"file": str(f.path), "error": f.error.message} for f in failures],
            "pictures": list(pictures),
        }
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head, indent=1)[:-2] + ',\n "images": [\n')
            for k, one in enumerate(self.done):
                file.write("  " + _plain(one) + (",\n" if k + 1 < len(self.done) else "\n"))
            file.write(" ]\n}\n")

    # ----------------------------------------------------------------------------------------------------- words

    def _model(self) -> str:
        config = self.record.trial.config
        attention = "" if config.attention.name == "none" else f" with attention {config.attention.label()}"
        return config.model.label() + attention

    def _note(self) -> str:
        total, shown = len(self.done), len(self._thumbs)
        if shown < total:
            return (
                f"The first {shown} of {total:,} images; {total - shown:,} are not shown, and are in predictions.csv."
            )
        return "Each image with its most probable class and that class's probability."

    def _warnings(self, failures: Sequence[Failure]) -> list[str]:
        found = [*self.cautions]
        small = sum(any(n.startswith(_ENLARGED) for n in one.notes) for one in self.done)
        if small:
            size = f"{self.reading.shape[2]} × {self.reading.shape[1]}"
            found.append(f"{counted(small, 'image')} smaller than the model's {size} pixels: enlarged.")
        if failures:
            names = ", ".join(shorten(f.path.name, 40) for f in failures[:10])
            more = f" and {len(failures) - 10:,} more" if len(failures) > 10 else ""
            found.append(f"{counted(len(failures), 'input')} could not be used: {names}{more}.")
        return found

    def _numbers(self) -> dict[str, Any]:
        spec = self.reading.io.inputs["inputs"]
        return {"size": list(self.reading.shape), "mean": list(spec.mean), "std": list(spec.std)}

    def _preparation(self) -> str:
        channels, height, width = self.reading.shape
        spec = self.reading.io.inputs["inputs"]
        scaled = "divided by 255" if spec.scaled else "as bytes, which the model scales itself"
        numbers = (", ".join(f"{v:.4g}" for v in values) for values in (spec.mean, spec.std))
        normal = "; mean {} taken off, divided by {}".format(*numbers) if spec.scaled and spec.mean else ""
        return (
            f"turned by EXIF orientation, transparent parts over white, {'grey' if channels == 1 else 'RGB'} of 8 "
            f"bits; resized (bilinear, antialiased) to just cover {width} × {height} pixels, the middle cut out; "
            f"{scaled}{normal}"
        )

    def _facts(self) -> list[tuple[str, str]]:
        config, metrics = self.record.trial.config, self.record.metrics
        epochs = counted(config.train.epochs, "epoch")
        tested = [f"{name} {100 * metrics[name]:.1f} %" for name in ("top1", "ece") if name in metrics]
        return [
            ("Model", self._model()),
            (
                "Trial",
                f"{self.record.id}: trained on {config.dataset.label()}, {epochs}, seed {config.seed}"
                + (f"; on its own test images {', '.join(tested)} (ece: expected calibration error)" if tested else ""),
            ),
            (
                "Classes",
                f"{len(self.reading.classes)}; every image gets one of them, whatever it shows",
            ),
            ("Each image", self._preparation()),
            (
                "Probability",
                "softmax of the model's outputs, in fp32; at most "
                f"{counted(self.together, 'image')} a batch, in the order of predictions.csv",
            ),
            *([("Where it looked", _LOOKED)] if self.explain else []),
            (
                "Files",
                "predictions.csv (every image, its most probable classes), predictions.json (all probabilities), "
                f"{_SHEET}" + (", explain_….jpg for every image" if self.explain else ""),
            ),
            *noted(self.record),
            ("Program", f"ablation-harness {versions()['ablation-harness']}, on {self.device}"),
        ]


_LOOKED = (
    "Grad-CAM at the last feature map, for the predicted class, each image by its own maximum; bright is what spoke "
    "for the class. Gain of a place or channel: the factor that best explains an attention block's output from its "
    "input there (least squares); 1 lets through what came, each map has its own range"
)


def _remove(path: Path) -> None:
    """A link itself, and never what it leads to; a folder stays, as no prediction writes one."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)


def _plain(one: Classified) -> str:
    told: dict[str, Any] = {
        "file": str(one.path),
        "predicted": one.label,
        "top": [{"class": name, "probability": float(f"{p:.7g}")} for name, p in one.top],
        "probabilities": [float(f"{p:.7g}") for p in one.probabilities],
        "notes": list(one.notes),
    }
    if one.explained:
        told["explained"] = one.explained.name
    return json.dumps(told)
