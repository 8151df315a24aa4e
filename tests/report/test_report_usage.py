"""Is trained attention used, and where does it look: verdicts, tables, pictures, and evaluations that are damaged."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report.evidence import make_evidence
from report.hostile import NASTY, hostile_evidence
from report.probes import SITES, gates, knockout, maps, probed_evidence

from harness.contracts import Evaluation, Figure, Metric
from harness.errors import StoreError
from harness.report import Evidence, build, html, markdown
from harness.report.analysis import analyse
from harness.report.document import Bullets, Document, Fold, Gallery, Item, Section, Table, Text
from harness.report.looks import looks
from harness.report.style import styled
from harness.report.usage import usage


def used(evidence: Evidence) -> Section:
    with styled():
        section = usage(analyse(evidence))
    assert section is not None
    return section


def looked(evidence: Evidence) -> Section:
    with styled():
        section = looks(analyse(evidence))
    assert section is not None
    return section


def verdicts(section: Section) -> dict[str, Item]:
    return {i.label: i for b in section.blocks if isinstance(b, Bullets) for i in b.items}


def line(section: Section, row: str) -> list[tuple[str, str]]:
    table = next(b for b in section.blocks if isinstance(b, Table))
    return next([(e.text, e.sub) for e in x.entries] for x in table.lines if x.entries[0].text == row)


def texts(section: Section) -> str:
    return " ".join(b.text for b in section.blocks if isinstance(b, Text))


def pictures(blocks: Any) -> list[Any]:
    found = []
    for b in blocks:
        found += list(b.pictures) if isinstance(b, Gallery) else pictures(b.blocks) if isinstance(b, Fold) else []
    return found


def fixed(losses: list[float]) -> Any:
    """Rows lose exactly these with all blocks knocked out, by seed."""

    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        if e.name != "knockout":
            return e
        rows = {**e.rows, "none": {"top1": 0.8}, "all": {"top1": 0.8 - losses[seed]}}
        return dataclasses.replace(e, rows=rows)

    return change


def test_without_evaluations_there_is_no_section(tmp_path: Path):
    analysis = analyse(make_evidence(seeds=1, epochs=1))

    assert usage(analysis) is None
    assert looks(analysis) is None


@pytest.mark.parametrize(
    ("losses", "word", "says"),
    [
        ([0.05, 0.06, 0.055], "relied on", "lower by 5.50 pp"),
        ([0.0005, -0.0005, 0.0001], "not needed", "by less than 0.13 pp: the network does not need them"),
        ([0.02, -0.02, 0.01], "unclear", "do not tell a loss from none"),
        ([-0.03, -0.031, -0.032], "harmful", "higher by 3.10 pp"),
        ([0.0, 0.0, 0.0], "not needed", "the same in every one of 3 seeds"),
        ([0.25, 0.25, 0.25], "no interval", "lose exactly 25.00 pp"),
    ],
)
def test_the_verdict_says_what_the_interval_supports_and_no_more(losses: list[float], word: str, says: str):
    item = verdicts(used(probed_evidence(fixed(losses))))["se"]

    assert item.word == word
    assert says in item.text


def test_the_loss_is_the_paired_difference_with_its_interval():
    row = line(used(probed_evidence(fixed([0.01, 0.02, 0.03]))), "se")

    # sd 1 pp over 3 seeds: half-width 4.3027 / sqrt(3) = 2.48 pp
    assert row[6][0] == "80.00"
    assert row[7][0] == "78.00"
    assert row[8] == ("+2.00", "−0.48 to +4.48; n = 3")


def test_a_gate_that_hardly_varies_is_said_to_be_a_scale_and_no_choice():
    def constant(row: str, seed: int, e: Evaluation) -> Evaluation:
        if e.name != "gates" or row != "se":
            return fixed([0.05, 0.06, 0.055])(row, seed, e)
        return dataclasses.replace(e, rows={s: {**v, "mean": 0.7, "spread": 0.006} for s, v in e.rows.items()})

    found = verdicts(used(probed_evidence(constant)))
    assert (found["se"].word, found["se"].tone) == ("relied on", "muted")
    assert "gates hardly vary (spread 0.006): it relies on a scale, not on a choice" in found["se"].text
    others = [item for row, item in found.items() if row != "se"]
    assert others
    assert all(item.tone == "good" and "hardly vary" not in item.text for item in others)


def test_one_seed_gets_no_interval_and_no_verdict():
    item = verdicts(used(probed_evidence(base=make_evidence(seeds=1, epochs=1))))["se"]

    assert item.word == "one seed"
    assert "no interval" in item.text


def test_where_lower_is_better_a_higher_value_without_blocks_is_a_loss():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        rows = {"none": {"cross_entropy": 0.5}, "all": {"cross_entropy": 0.9 + 0.01 * seed}}
        return dataclasses.replace(e, rows=rows) if e.name == "knockout" else e

    section = used(probed_evidence(change, dataclasses.replace(make_evidence(epochs=1), select="cross_entropy")))

    assert line(section, "se")[8][0] == "+0.41"
    assert verdicts(section)["se"].word == "relied on"


def test_gates_are_means_over_sites_and_seeds_with_the_range_over_sites():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        rows = {"a": {"mean": 0.2 + 0.1 * seed}, "b": {"mean": 0.6 + 0.1 * seed}}
        return dataclasses.replace(e, rows=rows) if e.name == "gates" else e

    assert line(used(probed_evidence(change)), "se")[1] == ("0.500", "0.30 to 0.70")


def test_the_number_of_items_and_its_cap_are_told():
    assert "on 2,000 items of the test split" in texts(used(probed_evidence()))
    assert "the split has 10,000: the number is capped" in texts(used(probed_evidence()))


def test_notes_of_the_evaluations_are_told_once_and_definitions_of_other_metrics_are_not():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        return dataclasses.replace(e, notes=(f"read by {e.name}",), definitions={**e.definitions, "top5": "other"})

    section = used(probed_evidence(change, make_evidence(epochs=1, seeds=2)))

    assert texts(section).count("Read by gates.") == 1
    assert "top5" not in str([b for b in section.blocks if isinstance(b, Fold) and "defined" in b.summary])


def test_maps_of_many_scales_show_one_and_fold_the_others():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        figures = (dataclasses.replace(f, title=f"{f.title} {row}") for f in e.figures if f.key == "places")
        return dataclasses.replace(e, figures=tuple(figures))

    section = looked(probed_evidence(change, make_evidence(epochs=1, seeds=1)))
    folded = [b for b in section.blocks if isinstance(b, Fold)]

    assert len(pictures(section.blocks)) == 12
    assert len(pictures(folded)) == 9


def test_equal_sites_give_heat_maps_and_others_lines():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        make = {"gates": gates, "knockout": knockout}.get(e.name)
        return make(row, seed, SITES[:4]) if make and row == "se" else e

    same, other = pictures(used(probed_evidence()).blocks), pictures(used(probed_evidence(change)).blocks)

    assert [p.name for p in same] == [p.name for p in other] == ["usage-loss.svg", "usage-gate.svg"]
    assert b"<image" in same[0].content
    assert b"<image" not in other[0].content
    assert "se from" in other[0].alt


def test_sites_follow_the_model_and_have_losses_of_their_own():
    fold = next(b for b in used(probed_evidence()).blocks if isinstance(b, Fold) and "by site" in b.summary)
    table = fold.blocks[0]

    assert isinstance(table, Table)
    assert [x.entries[0].text for x in table.lines] == list(SITES)
    assert all("n = 3" in x.entries[-1].sub for x in table.lines)


def test_a_number_that_is_not_finite_takes_the_row_out_and_is_named():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        if row == "se" and seed == 1 and e.name == "knockout":
            return dataclasses.replace(e, rows={**e.rows, "all": {"top1": math.nan}})
        return e

    section = used(probed_evidence(change))

    assert verdicts(section)["se"].word == "not known"
    assert line(section, "se")[8][0] == "–"
    assert "top1 at 'all' of 'se' is nan for seed 1" in texts(section)


def test_seeds_without_a_measurement_are_counted_out_and_told():
    section = used(probed_evidence(lambda row, seed, e: None if seed == 2 and e.name == "knockout" else e))

    assert "n = 2" in line(section, "se")[8][1]
    assert "'se': the knock-out is usable for 2 of 3 seeds" in texts(section)


def test_grad_cam_has_the_images_once_then_every_row():
    picture = next(p for p in pictures(looked(probed_evidence()).blocks) if "gradcam" in p.name)

    assert "from top to bottom: image, none, se, spatial, hybrid_sequential, hybrid_parallel;" in picture.alt
    assert "class9 #63" in picture.alt


def test_rows_with_other_images_or_sites_are_drawn_apart_and_named():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        return maps(row, seed, SITES[:2], shift=3) if e.name == "maps" and row == "se" else e

    section = looked(probed_evidence(change))
    cams = [p for p in pictures(section.blocks) if "gradcam" in p.name]

    assert len({p.name for p in pictures(section.blocks)}) == len(pictures(section.blocks))
    assert "image, none, spatial," in cams[0].alt
    assert "image, se;" in cams[1].alt
    assert "so apart: 'se'" in texts(section)


def test_a_row_whose_maps_cannot_be_read_is_a_sentence():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        if row == "se":
            raise StoreError("maps.h5 is damaged")
        return e

    evidence = probed_evidence(change)

    assert "maps.h5 is damaged" in texts(looked(evidence))
    assert "maps.h5 is damaged" in texts(used(evidence))


def _nasty(row: str, seed: int, e: Evaluation) -> Evaluation:
    rows: dict[str, Any] = {n: {n: 1.0, "mean": 0.5, "top1": 0.4} for n in NASTY}
    if e.name == "knockout":
        rows |= {"none": {"top1": 0.5}, "all": {"top1": 0.4 + seed / 100}}
    figures = tuple(
        dataclasses.replace(f, key=f"../{f.key}", title=NASTY[6], alt=NASTY[0], data={**f.data, **_names(f)})
        for f in e.figures
    )
    return dataclasses.replace(e, rows=rows, definitions={NASTY[0]: NASTY[6]}, figures=figures, notes=NASTY)


def _names(figure: Figure) -> dict[str, np.ndarray]:
    long = {k: len(np.asarray(figure.data[k])) for k in ("rows", "columns")}
    return {k: np.array([NASTY[i % 10].replace("\x00", "") for i in range(n)]) for k, n in long.items()}


def test_hostile_names_and_notes_become_no_mark_up(tmp_path: Path):
    base = hostile_evidence()
    whose = {t.id: t.config.seed for c in base.study.cells for t in c.trials}
    made = {"gates": gates, "knockout": knockout, "maps": maps}
    evidence = dataclasses.replace(
        base, evaluations=lambda t, n: _nasty("x", whose[t], made[n]("x", whose[t])) if n in made else None
    )
    text = build(evidence, tmp_path).read_text()
    own = text[text.index('id="usage"') :]

    assert 'id="looks"' in own
    assert "<script" not in own
    assert "<img src=http" not in own
    assert not [p for p in (tmp_path / "figures").iterdir() if ".." in p.name]


BROKEN: dict[str, Any] = {
    "nothing": {"rows": {}, "figures": ()},
    "empty rows": {"rows": {"none": {}, "all": {}, "site": {}}},
    "all nan": {"rows": {r: {"top1": math.nan, "mean": math.nan} for r in ("none", "all", "site")}},
    "infinite": {"rows": {r: {"top1": math.inf, "mean": -math.inf} for r in ("none", "all", "site")}},
    "text": {"rows": {"none": {"top1": "high"}, "all": {"top1": None}, "s": {"mean": True}}},
    "only sites": {"rows": {"layer1.0": {"top1": 0.5, "mean": 0.5}}},
    "signature": {"signature": {"items": "many"}},
    "no pictures": {"figures": (Figure("gradcam", "strip", "t", "a", {}), Figure("channels", "heatmap", "t", "a", {}))},
    "nan matrix": {
        "figures": (
            Figure(
                "channels",
                "heatmap",
                "t",
                "a",
                {"values": np.full((2, 2), np.nan), "rows": np.array(["a", "b"]), "columns": np.array(["c", "d"])},
            ),
        )
    },
}


@pytest.mark.parametrize("damage", BROKEN)
@pytest.mark.parametrize("who", ["one", "all"])
def test_damaged_evaluations_do_not_stop_the_report(damage: str, who: str):
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        return dataclasses.replace(e, **BROKEN[damage]) if who == "all" or row == "se" else e

    base = make_evidence(("none", "se", "spatial"), seeds=2, epochs=1)
    analysis = analyse(probed_evidence(change, base))
    with styled():
        sections = tuple(s for s in (usage(analysis), looks(analysis)) if s is not None)
    document = Document("title", "lead", (), sections)
    text = html.render(document)

    assert markdown.render(document)
    assert ("spatial" in text) or who == "all"
    assert not re.search(r"<td[^>]*>−?(nan|inf)", text)


def test_the_same_evidence_gives_the_same_files_in_the_order_of_the_page(tmp_path: Path):
    base = make_evidence(("none", "se"), seeds=2, epochs=1)
    texts_ = [build(probed_evidence(base=base), tmp_path / n).read_bytes() for n in "ab"]
    page = texts_[0].decode()

    assert texts_[0] == texts_[1]
    assert page.index('id="usage"') < page.index('id="looks"') < page.index('id="curves"')


def test_a_margin_of_a_metric_without_a_share_is_a_hundredth_of_the_trained_value():
    def change(row: str, seed: int, e: Evaluation) -> Evaluation:
        rows = {"none": {"mse": 100.0}, "all": {"mse": 100.1 + 0.1 * seed}}
        return dataclasses.replace(e, rows=rows) if e.name == "knockout" else e

    base = make_evidence(epochs=1)
    records = {k: dataclasses.replace(r, metrics={"mse": 100.0}) for k, r in base.records.items()}
    metrics = (Metric("mse", "", "lower", "mean squared error"),)
    base = dataclasses.replace(base, metrics=metrics, select="mse", records=records)
    item = verdicts(used(probed_evidence(change, base)))["se"]

    assert item.word == "not needed"
    assert "1 % of the trained value" in texts(used(probed_evidence(change, base)))
