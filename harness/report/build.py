"""Write a report: Markdown, HTML, CSV, LaTeX and pictures. The same evidence gives the same bytes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pandas as pd

from ..errors import StoreError
from . import html, latex, markdown
from .analysis import Analysis, analyse
from .audited import audits
from .claimed import claims
from .classes import classes
from .comparison import comparison, main_table
from .controlled import controlled
from .costs import costs
from .curves import curves
from .document import Document
from .escaping import one_line
from .evidence import Evidence
from .frames import comparison_frame, records_csv, table_csv
from .gallery_section import only_one
from .joined import stored_figures
from .ledger import ledger
from .looks import looks
from .parts import parts
from .plots import differences, scatter
from .provenance import gaps, raw, recipe, versions
from .reach import reached
from .style import styled
from .summary import headline, summary
from .usage import usage


def build(evidence: Evidence, out: Path) -> Path:
    """Write report.md, report.html, table.csv, table.tex, records.csv and figures/*; return report.html's path.

    Every file is replaced whole. Pictures of an earlier build that are gone from this one are removed.
    Raises ConfigError if the task lacks its primary metric, StoreError if the folder cannot be written.
    """
    analysis = analyse(evidence)
    document = compose(analysis)
    files = {f"figures/{p.name}": p.content for p in document.pictures()}
    texts = {
        "table.csv": table_csv(comparison_frame(analysis)),
        "records.csv": records_csv(evidence),
        "table.tex": latex.render(main_table(analysis), document.lead),
        "report.md": markdown.render(document),
        "report.html": html.render(document),
    }
    # A name out of a damaged file may hold half a character, which UTF-8 refuses.
    files |= {name: text.encode("utf-8", "replace") for name, text in texts.items()}
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _write(out / name, content)
        for old in sorted((out / "figures").iterdir()):
            if old.suffix in (".svg", ".gif") and f"figures/{old.name}" not in files:
                old.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot write the report to '{out}': {error}", hint="is the disk full or the folder yours?"
        ) from error
    return out / "report.html"


def table(evidence: Evidence) -> pd.DataFrame:
    """The comparison as numbers: one row a cell; metrics in % are fractions."""
    return comparison_frame(analyse(evidence))


def compose(analysis: Analysis) -> Document:
    """All sections in the order of reading."""
    study = analysis.evidence.study
    with styled():
        by_class = classes(analysis)
        sections = (
            comparison(analysis),
            differences(analysis),
            audits(analysis),
            claims(analysis),
            controlled(analysis),
            by_class,
            usage(analysis),
            looks(analysis),
            only_one(analysis),
            curves(analysis),
            ledger(analysis),
            reached(analysis),
            scatter(analysis),
            *stored_figures(analysis, () if by_class is None else ("per_class",)),
            costs(analysis),
            parts(analysis),
            gaps(analysis),
            recipe(analysis),
            versions(analysis),
            raw(analysis),
        )
    title = one_line(study.title) or one_line(study.name)
    return Document(title, headline(analysis).rstrip(".") + ".", summary(analysis), tuple(s for s in sections if s))


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files that only the owner may read; a report is there to be read.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
