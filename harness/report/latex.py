"""The comparison as a LaTeX table (booktabs)."""

from __future__ import annotations

from .document import Entry, Table
from .escaping import latex


def render(table: Table, lead: str) -> str:
    """Ready for \\input: a `table` environment, rows that are not ranked or need no training below a rule."""
    # A comment ends at the line's end, and `latex` leaves no line break in a name.
    lines = [
        "% needs \\usepackage{booktabs}, and \\usepackage{graphicx} for \\resizebox",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{latex(lead.rstrip('.'))}. {latex(table.caption)} {latex(_heads(table))}}}",
        "\\resizebox{\\linewidth}{!}{%",
        f"\\begin{{tabular}}{{{''.join('r' if c.numeric else 'l' for c in table.columns)}}}",
        "\\toprule",
        _row([latex(c.label) for c in table.columns]),
        "\\midrule",
    ]
    previous = ""
    for line in table.lines:
        if line.group in ("unranked", "floor") and previous not in ("", line.group):
            lines.append("\\midrule")
        lines.append(_row([_entry(e) for e in line.entries]))
        previous = line.group
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}}", "\\end{table}"]) + "\n"


def _heads(table: Table) -> str:
    """What stands below the heads elsewhere; here it would make the columns as wide as their explanation."""
    told = "; ".join(f"{c.label}: {c.sub}" for c in table.columns if c.sub)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def _entry(entry: Entry) -> str:
    text = latex(entry.text)
    if entry.tone in ("better", "worse"):
        text = f"\\textbf{{{text}}}"
    below = "; ".join(latex(t) for t in (entry.sub, *entry.marks) if t)
    return f"{text} ({below})" if below else text


def _row(cells: list[str]) -> str:
    # Braces, since a cell that began with a bracket would be read as the option of the line break before it.
    return f"{' & '.join(f'{{{c}}}' for c in cells)} \\\\"
