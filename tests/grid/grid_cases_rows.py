"""Kinds of mistake in axes, designs, exclude, baseline and claims: text, message, part of the hint."""

from __future__ import annotations

from grid_cases_parts import AXES, CLAIM, HEAD

ROWS: dict[str, tuple[str, str, str]] = {
    # axes and designs
    "axes that are a list": (
        HEAD + "axes: [attention]\n",
        "5: axes: a list: a mapping of keys to lists",
        "attention: [none, se]",
    ),
    "an unknown axis": (
        HEAD + "axes:\n  atention: [se]\n",
        "6: axes.atention: unknown key 'atention'",
        "did you mean 'attention'?",
    ),
    "seeds as an axis": (HEAD + "axes:\n  seeds: [1, 2]\n", "6: axes.seeds: 'seeds' is no setting", "all seeds"),
    "an axis without a list": (
        HEAD + "axes: {attention: se}\n",
        "5: axes.attention: 'se': a list of values is meant",
        "[se]",
    ),
    "an empty axis": (HEAD + "axes: {attention: []}\n", "5: axes.attention: the list is empty", "a value"),
    "a value twice": (
        HEAD + "axes: {model.width: [1, 2, 1.0]}\n",
        "5: axes.model.width[2]: the same value as axes.model.width[0]",
        "leave",
    ),
    "an unknown value": (
        HEAD + "axes:\n  attention:\n  - none\n  - se\n  - ecaa\n",
        "9: axes.attention[2]: unknown attention 'ecaa'",
        "'eca'",
    ),
    "an axis of the wrong type": (
        HEAD + "axes: {model.depth: [20, x]}\n",
        "5: axes.model.depth[1]: model 'net': option 'depth'",
        "",
    ),
    "an axis that nothing has": (
        HEAD + AXES + "  attention.reducton: [4]\n",
        "7: axes.attention.reducton: 'attention.reducton' applies to nothing",
        "did you mean 'attention.reduction'?",
    ),
    "an axis of train that is not there": (
        HEAD + "axes: {train.batchsize: [4]}\n",
        "5: axes.train.batchsize: 'train.batchsize' applies",
        "'train.batch_size'",
    ),
    "an axis of a term that is not there": (
        HEAD + "loss: {bce: 1}\naxes: {loss.gdl: [1]}\n",
        "6: axes.loss.gdl: 'loss.gdl' applies",
        "loss.bce",
    ),
    "an axis below placement": (
        HEAD + "axes: {placement.x: [1]}\n",
        "5: axes.placement.x: 'placement.x' leads nowhere",
        "placement",
    ),
    "too many rows": (
        HEAD
        + "axes:\n"
        + "".join(f"  {k}: {list(range(1, 101))}\n" for k in ("model.depth", "model.width", "train.batch_size")),
        "5: axes: the axes ask for 1,000,000 rows",
        "one_at_a_time",
    ),
    "a design without axes": (HEAD + "design: one_at_a_time\n", "1: design 'one_at_a_time' needs axes", "axes"),
    "leaving out of no list": (
        HEAD + "design: leave_one_out\n" + AXES,
        "7: axes.attention: leave_one_out leaves out parts",
        "augment",
    ),
    "leaving out the only loss": (
        HEAD + "design: leave_one_out\naxes: {loss: [bce]}\n",
        "6: axes.loss: leaving out the only one",
        "",
    ),
    "a baseline of leave_one_out": (
        HEAD + "design: leave_one_out\nbaseline: {augment: []}\naxes: {augment: [crop]}\n",
        "6: baseline: the baseline of leave_one_out is the row with everything",
        "leave the key out",
    ),
    "a base for no axis": (
        HEAD + "design: one_at_a_time\nbaseline: {model.dept: 20}\naxes: {model.depth: [1]}\n",
        "6: baseline.model.dept: 'model.dept' is no axis",
        "did you mean 'model.depth'?",
    ),
    # exclude and baseline
    "exclude without a list": (
        HEAD + AXES + "exclude: {attention: se}\n",
        "7: exclude: a mapping: a list of mappings",
        "[{",
    ),
    "an exclusion of nothing": (
        HEAD + AXES + "exclude:\n- attention: se\n- attention: eca\n",
        "9: exclude[1]: matches no row",
        "the rows are: none",
    ),
    "an unknown name excluded": (
        HEAD + AXES + "exclude: [{attention: see}]\n",
        "7: exclude[0].attention: unknown attention 'see'",
        "'se'",
    ),
    "an unknown key excluded": (
        HEAD + AXES + "exclude: [{atention: se}]\n",
        "7: exclude[0].atention: unknown key",
        "'attention'",
    ),
    "everything excluded": (HEAD + AXES + "exclude: [{model: net}]\n", "7: exclude: leaves no row", "exclude less"),
    "a baseline of no row": (
        HEAD + AXES + "baseline: {attention: eca}\n",
        "7: baseline: matches no row",
        "the rows are: none; se",
    ),
    "a baseline of two rows": (HEAD + AXES + "baseline: {model: net}\n", "7: baseline: matches 2 rows", "none; se"),
    "a baseline that is a name": (
        HEAD + AXES + "baseline: none\n",
        "7: baseline: 'none': settings are meant",
        "{attention: none}",
    ),
    "an unknown baseline": (
        HEAD + AXES + "baseline: {attention: nome}\n",
        "7: baseline.attention: unknown attention 'nome'",
        "'none'",
    ),
    "a baseline that is excluded": (
        HEAD + AXES + "design: one_at_a_time\nexclude: [{attention: none}]\n",
        "8: exclude: leaves out the baseline",
        "other rows",
    ),
    # claims
    "claims that are a mapping": (
        HEAD + "claims: {metric: top1}\n",
        "5: claims: a mapping: a list of claims",
        "metric: top1",
    ),
    "a claim without a source": (
        HEAD + "claims:\n- {metric: top1, where: {attention: se}, reported: 1}\n",
        "6: claims[0]: the key 'source' is missing",
        "",
    ),
    "a claim about nothing": (
        HEAD + CLAIM + "reported: 1}\n",
        "6: claims[0]: what is claimed is missing",
        "exactly one",
    ),
    "a claim about two things": (
        HEAD + CLAIM + "reported: 1, where: {attention: se}, difference: [{attention: se}, {attention: none}]}\n",
        "6: claims[0]: where and difference exclude each other",
        "exactly one",
    ),
    "a claim without a number": (
        HEAD + CLAIM + "where: {attention: se}}\n",
        "6: claims[0]: the key 'reported' is missing",
        "published",
    ),
    "an order with a number": (
        HEAD + CLAIM + "reported: 1, order: [{attention: se}, {attention: none}]}\n",
        "6: claims[0].reported: an order has no reported number",
        "difference",
    ),
    "a difference of one": (
        HEAD + CLAIM + "reported: 1, difference: [{attention: se}]}\n",
        "6: claims[0].difference: a list: a list of two",
        "a - b",
    ),
    "a claim in words": (
        HEAD + CLAIM + "reported: much, where: {attention: se}}\n",
        "6: claims[0].reported: 'much': a number",
        "",
    ),
    "a negative tolerance": (
        HEAD + CLAIM + "reported: 1, tolerance: -1, where: {attention: se}}\n",
        "6: claims[0].tolerance: '-1': a number from 0",
        "",
    ),
    "an unknown key of a claim": (
        HEAD + CLAIM + "report: 1, reported: 1, where: {attention: se}}\n",
        "6: claims[0].report: unknown key",
        "'reported'",
    ),
    "a claim about an unknown key": (
        HEAD + CLAIM + "reported: 1, where: {atention: se}}\n",
        "6: claims[0].where.atention: unknown key",
        "'attention'",
    ),
    "a claim about no": (
        HEAD + CLAIM + "reported: 1, where: {attention: no}}\n",
        "6: claims[0].where.attention: 'no' is a boolean",
        "YAML",
    ),
}
