"""Every row of a study with its numbers, compared with the baseline. All statistics are those of `stats`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..claims import Judgement, judge
from ..claims.numbers import counted, seed_values
from ..claims.timing import Timing
from ..contracts import Metric
from ..errors import ConfigError
from ..stats import Difference, Interval, Verdict, holm, mde, mean_interval, paired_difference, verdict
from ..trial import Audit, Cell, Record, Study, Trial, trainable_names
from .escaping import one_line, shorten
from .evidence import Evidence, Latency

COSTS = (
    Metric("parameters", "parameters", "lower", "all weights of the model, trained or not"),
    Metric("attention_parameters", "parameters", "lower", "weights of the attention blocks"),
    Metric(
        "macs",
        "MACs",
        "lower",
        "multiply-accumulates of one forward pass of one item, of 16 frames if any number may come",
    ),
    Metric(
        "seconds",
        "s",
        "lower",
        "wall-clock time of training, with validation after every epoch, without features that trials share",
    ),
    Metric("peak_memory", "bytes", "lower", "highest memory in use during training"),
)


def stage_costs(study: Study) -> tuple[Metric, ...]:
    """The weights that each stage of the training changes."""
    what = "weights that stage {} of the training changes"
    return tuple(
        Metric(name, "parameters", "lower", what.format(i)) for i, name in enumerate(trainable_names(study), 1)
    )


@dataclass(frozen=True, slots=True)
class Arm:
    """A row: its trials, its values by seed (folds averaged), and its differences to the baseline (row - baseline).

    `differences` is empty for the baseline itself, where there is none to compare with, and for a row that failed an
    audit. `adjusted_p`: Holm's, for the primary metric, over all rows, or over all controls if this is one of them.
    Costs are in `values` and `intervals` under their names too.
    """

    cell: Cell
    label: str
    runs: tuple[tuple[Trial, Record | None], ...]
    values: Mapping[str, Mapping[int, float]]
    intervals: Mapping[str, Interval]
    differences: Mapping[str, Difference]
    verdict: Verdict | None = None
    adjusted_p: float | None = None
    parameters: float | None = None
    attention_parameters: float | None = None
    macs: float | None = None
    latency: Latency | None = None
    batched: Latency | None = None

    @property
    def ok(self) -> tuple[Record, ...]:
        return tuple(r for _, r in self.runs if r is not None and r.status == "ok")

    @property
    def seeds(self) -> int:
        """Asked for, whether they were run or not."""
        return len({t.config.seed for t, _ in self.runs})

    @property
    def audits(self) -> tuple[Audit, ...]:
        """Of every finished trial."""
        return tuple(a for r in self.ok for a in r.audits)

    @property
    def ranked(self) -> bool:
        """No trial of it failed an audit."""
        return all(a.outcome != "failed" for a in self.audits)

    @property
    def marks(self) -> tuple[str, ...]:
        """The words that stand beside the row wherever it is named, each once."""
        words = [a.mark or (f"FAILED {a.name}" if a.outcome == "failed" else "") for a in self.audits]
        words += [mark for r in self.ok for mark in r.marks]
        return tuple(dict.fromkeys(line for w in words if (line := one_line(w))))

    def short(self, limit: int = 42) -> str:
        """The label for a margin or a legend; its marks are never cut off."""
        return self._marked(shorten(self.label, limit))

    @property
    def told(self) -> str:
        """`same [LEAKS 1 frame]`."""
        return self._marked(self.label)

    def _marked(self, label: str) -> str:
        return f"{label} [{', '.join(self.marks)}]" if self.marks else label

    @property
    def attention_share(self) -> float | None:
        if not self.parameters or self.attention_parameters is None:
            return None
        return self.attention_parameters / self.parameters

    @property
    def peak_memory(self) -> float | None:
        return max((r.cost["peak_memory"] for r in self.ok if "peak_memory" in r.cost), default=None)


@dataclass(frozen=True, slots=True)
class Analysis:
    """`arms`: the baseline first, then the order of the study, and last the rows that failed an audit. `baseline`: None
    where no row can serve as one, and `no_baseline` says why. `broken`: sentences about numbers that are not finite.
    """

    evidence: Evidence
    records: Mapping[str, Record]
    primary: Metric
    others: tuple[Metric, ...]
    arms: tuple[Arm, ...]
    baseline: Arm | None
    no_baseline: str
    judgements: tuple[Judgement, ...]
    broken: tuple[str, ...]

    @property
    def ok(self) -> tuple[Record, ...]:
        """Finished records of this study, each once."""
        return tuple({r.id: r for arm in self.arms for r in arm.ok}.values())

    @property
    def ranked(self) -> tuple[Arm, ...]:
        """The rows whose numbers may be compared."""
        return tuple(a for a in self.arms if a.ranked)

    @property
    def unranked(self) -> tuple[Arm, ...]:
        return tuple(a for a in self.arms if not a.ranked)

    @property
    def challengers(self) -> tuple[Arm, ...]:
        return tuple(a for a in self.arms if a is not self.baseline)

    def floors(self, metric: str) -> Mapping[str, list[float]]:
        """Predictor without training -> its values, in order: rows may be tested on different data.

        One value a row and seed: the mean over folds, each of which tests its own items.
        """
        found: dict[str, list[float]] = {}
        for arm in self.arms:
            by_seed: dict[int, list[Record]] = {}
            for record in arm.ok:
                by_seed.setdefault(record.trial.config.seed, []).append(record)
            for records in by_seed.values():
                if len(records) < max(1, len(arm.runs) // arm.seeds):
                    continue  # the mean of some folds would differ from that of all
                for name in records[0].floors:
                    values = [r.floors[name][metric] for r in records if metric in r.floors.get(name, {})]
                    if len(values) == len(records):
                        found.setdefault(one_line(name), []).append(sum(values) / len(values))
        return found

    def shown(self, limit: int) -> tuple[tuple[Arm, ...], int]:
        """The baseline and the rows that differ most from it, in order; and how many finished rows were left out."""
        finished = [a for a in self.arms if a.ok]
        if len(finished) <= limit:
            return tuple(finished), 0
        # A row that failed an audit is shown before others: its pictures are the warning. Controls come last.
        order = {
            a.cell.key: (a is not self.baseline, a.ranked, bool(a.cell.control), -self._distance(a)) for a in finished
        }
        ranked = sorted(finished, key=lambda a: order[a.cell.key])[:limit]
        kept = {a.cell.key for a in ranked}
        return tuple(a for a in finished if a.cell.key in kept), len(finished) - limit

    def _distance(self, arm: Arm) -> float:
        difference = arm.differences.get(self.primary.name)
        if difference is not None and difference.mean is not None:
            return abs(difference.mean)
        return -1.0


def analyse(evidence: Evidence) -> Analysis:
    """Raises ConfigError if the task has no metric of the name `select`."""
    primary = next((m for m in evidence.metrics if m.name == evidence.select), None)
    if primary is None:
        raise ConfigError(f"the task has no metric '{evidence.select}', by which rows should be compared")
    others = tuple(m for m in evidence.metrics if m is not primary)
    records, broken = _finite(evidence)
    cells = sorted(evidence.study.cells, key=lambda c: not c.baseline)
    arms = sorted((_arm(evidence, cell, records) for cell in cells), key=lambda a: not a.ranked)
    reference = next((a for a in arms if a.cell.baseline), None)
    reason = _why_no_baseline(reference, primary)
    if reference is not None and not reason:
        arms = _compared(arms, reference, evidence.metrics, primary)
    metrics = {m.name: m for m in (*evidence.metrics, *COSTS, *stage_costs(evidence.study))}
    disowned = {a.cell.key: disowned_because(a) for a in arms if not a.ranked}
    timings = {key: Timing(t.median_ms, t.batch, t.device) for key, t in evidence.latency.items()}
    judgements = judge(
        evidence.study, records, metrics, evidence.identities, evidence.defaults, evidence.remarks, disowned, timings
    )
    baseline = None if reason else next((a for a in arms if a.cell.baseline), None)
    return Analysis(evidence, records, primary, others, tuple(arms), baseline, reason, judgements, broken)


def _finite(evidence: Evidence) -> tuple[dict[str, Record], tuple[str, ...]]:
    """Leave a metric out of a whole row where one seed's value is no number: dropping that seed would flatter it."""
    records, broken = dict(evidence.records), []
    for cell in evidence.study.cells:
        own = [records[t.id] for t in cell.trials if t.id in records]
        bad = {
            name: (record.trial.config.seed, number)
            for record in own
            for name, number in (*record.cost.items(), *record.metrics.items())
            if not math.isfinite(number)
        }
        for name, (seed, number) in bad.items():
            broken.append(
                f"{one_line(name)} of '{one_line(cell.label)}' is {number} for seed {seed}; the row gets no"
                f" {one_line(name)}, since leaving that seed out would flatter it."
            )
        for record in own if bad else ():
            metrics, cost = ({k: v for k, v in d.items() if k not in bad} for d in (record.metrics, record.cost))
            records[record.id] = dataclasses.replace(record, metrics=metrics, cost=cost)
    return records, tuple(broken)


def _arm(evidence: Evidence, cell: Cell, records: Mapping[str, Record]) -> Arm:
    names = [m.name for m in (*evidence.metrics, *COSTS, *stage_costs(evidence.study))]
    values = {name: seed_values(cell, records, name) for name in names}
    return Arm(
        cell=cell,
        label=one_line(cell.label) or cell.key,
        runs=tuple((t, records.get(t.id)) for t in cell.trials),
        values=values,
        intervals={name: mean_interval(list(found.values())) for name, found in values.items()},
        differences={},
        parameters=counted(cell, records, "parameters"),
        attention_parameters=counted(cell, records, "attention_parameters"),
        macs=counted(cell, records, "macs"),
        latency=evidence.latency.get(cell.key),
        batched=evidence.batched.get(cell.key),
    )


def disowned_because(arm: Arm) -> str:
    """`'same' is marked LEAKS 1 frame: it sees the future`, without a full stop."""
    failed = [a for a in arm.audits if a.outcome == "failed"]
    names = dict.fromkeys(one_line(a.name) for a in failed)
    why = "it sees the future" if "leaks" in names else f"it failed the audit '{', '.join(names)}'"
    marks = dict.fromkeys(one_line(a.mark) for a in failed if a.mark)
    return f"'{arm.label}' is marked {', '.join(marks) or 'not ranked'}: {why}"


def _why_no_baseline(reference: Arm | None, primary: Metric) -> str:
    if reference is None:
        return "The study names no baseline, so rows stand side by side without differences."
    if not reference.ranked:
        return f"The baseline {disowned_because(reference)}. No row is compared with it, and there are no verdicts."
    if reference.values[primary.name]:
        return ""
    failed = [r for _, r in reference.runs if r is not None and r.status != "ok"]
    why = f"{len(failed)} of {len(reference.runs)} trials {failed[0].status}" if failed else "it has not been run"
    reason = f" ({one_line(failed[0].reason)})" if failed and failed[0].reason else ""
    if reference.ok:
        why, reason = f"its records hold no usable {primary.name} of a whole seed", ""
    return f"The baseline '{reference.label}' has no result: {why}{reason}. There are no differences to it."


def _compared(arms: Sequence[Arm], reference: Arm, metrics: Sequence[Metric], primary: Metric) -> list[Arm]:
    differences = {
        arm.cell.key: {m.name: paired_difference(arm.values[m.name], reference.values[m.name]) for m in metrics}
        for arm in arms
        if arm is not reference and arm.ranked and arm.values[primary.name]
    }
    # What a study asks of its rows does not become harder to see because their controls were run too.
    adjusted: dict[str, float | None] = {}
    for controls in (False, True):
        family = [a.cell.key for a in arms if a.cell.key in differences and bool(a.cell.control) is controls]
        adjusted |= zip(family, holm([differences[key][primary.name].p for key in family]), strict=True)
    done = []
    for arm in arms:
        if arm.cell.key in differences:
            own = differences[arm.cell.key]
            p = adjusted[arm.cell.key]
            word = verdict(own[primary.name], primary.better, None, p, primary.unit)
            arm = dataclasses.replace(arm, differences=own, verdict=word, adjusted_p=p)
        done.append(arm)
    return done


def detectable(analysis: Analysis) -> tuple[int, float, float] | None:
    """(pairs, least, greatest) of the smallest true differences that the rows' comparisons would mostly see."""
    found = []
    for arm in analysis.challengers:
        difference = arm.differences.get(analysis.primary.name)
        smallest = None if difference is None or not difference.sd else mde(difference.sd, difference.n)
        if difference is not None and smallest is not None and not arm.cell.control:
            found.append((difference.n, smallest))
    if not found:
        return None
    pairs = max(n for n, _ in found)
    sizes = [size for n, size in found if n == pairs]
    return pairs, min(sizes), max(sizes)
