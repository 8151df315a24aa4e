"""Kinds of mistake in YAML, at the top of a grid, in components and in `train`: text, message, part of the hint."""

from __future__ import annotations

HEAD = "study: s\ndataset: toy\nmodel: net\ntrain: {epochs: 2}\n"
STAGED = "study: s\ndataset: toy\nmodel: net\n"
AXES = "axes:\n  attention: [none, se]\n"
CLAIM = "claims:\n- {metric: top1, source: x, "

# name: (text, "LINE: PATH: what", part of the hint)
PARTS: dict[str, tuple[str, str, str]] = {
    # YAML
    "empty file": ("", "1: the file is empty", "study: NAME"),
    "a list": ("- a\n- b\n", "1: a list: a mapping is meant", "study: NAME"),
    "a tab": (HEAD + "title:\n\tx: 1\n", "6: not valid YAML: found character '\\t'", "spaces"),
    "an open bracket": (HEAD + "seeds: [1, 2\nfolds: all\n", "6: not valid YAML", "bracket"),
    "no space after a colon": (HEAD + "a:1\nb: 2\n", "6: not valid YAML", "missing space after a colon"),
    "two documents": (HEAD + "---\nstudy: t\n", "5: not valid YAML", "one study"),
    "a key twice": (HEAD + "seeds: 1\nseeds: 2\n", "6: seeds: the key 'seeds' is written twice", "on line 5"),
    "a nested key twice": (
        HEAD + "attention: {name: se, gate: a,\n  gate: b}\n",
        "6: attention.gate: the key 'gate' is written twice",
        "on line 5",
    ),
    "a key that is a boolean": (HEAD + "on: 1\n", "5: on: the key 'on' is a boolean", "YAML reads on, off"),
    "a key that is a number": (HEAD + "1: 1\n", "5: 1: a key must be text", "quotes"),
    "a merge key": (HEAD + "attention: {<<: {name: se}, name: se}\n", "5: attention.<<: the key '<<'", "alias"),
    "a percent sign": (HEAD + CLAIM + "unit: %}\n", "6: not valid YAML: found character '%'", "quotes"),
    "infinity": (
        HEAD + "attention: {name: se, reduction: .inf}\n",
        "5: attention.reduction: the number is not finite",
        "",
    ),
    "a number out of range": (HEAD + "seeds: [99999999999999999999]\n", "5: seeds[0]: the number is too large", ""),
    "a python tag": (
        HEAD + "title: !!python/name:os.system x\n",
        "5: title: the tag '!!python/name:os.system' is not",
        "text",
    ),
    "a tag of one's own": (HEAD + "title: !secret x\n", "5: title: the tag '!secret' is not allowed", "text"),
    "an unknown alias": (HEAD + "title: *nobody\n", "5: not valid YAML: found undefined alias", ""),
    # top level
    "no study": ("dataset: toy\nmodel: net\ntrain: {epochs: 1}\n", "1: the key 'study' is missing", "study: NAME"),
    "no dataset": ("study: s\nmodel: net\ntrain: {epochs: 1}\n", "1: the key 'dataset' is missing", "dataset: NAME"),
    "an unknown key": (HEAD + "\nattenton: se\n", "6: attenton: unknown key 'attenton'", "did you mean 'attention'?"),
    "a dotted key at the top": (
        HEAD + "attention.reduction: 4\n",
        "5: attention.reduction: unknown key",
        "put it under axes",
    ),
    "a study that is a path": (
        HEAD.replace("study: s", "study: ../x"),
        "1: study: '../x' cannot name a study",
        "folder",
    ),
    "a hidden study": (HEAD.replace("study: s", "study: .x"), "1: study: '.x' cannot name a study", "folder"),
    "a study that is a number": (HEAD.replace("study: s", "study: 2024"), "1: study: '2024': text is meant", "quotes"),
    "a study that is a boolean": (HEAD.replace("study: s", "study: on"), "1: study: 'on': text is meant", "quotes"),
    "an unknown design": (
        HEAD + AXES + "design: produkt\n",
        "7: design: unknown design 'produkt'",
        "did you mean 'product'?",
    ),
    "no seeds": (HEAD + "seeds: 0\n", "5: seeds: '0' is no number of seeds", "1 to 1000"),
    "a negative seed": (HEAD + "seeds: [1, -1]\n", "5: seeds[1]: '-1' is no seed", "whole number from 0"),
    "a seed twice": (HEAD + "seeds: [1, 1]\n", "5: seeds[1]: seed 1 stands twice", "leave one out"),
    "folds by number": (HEAD + "folds: 3\n", "5: folds: '3': all, or a list of folds", "all"),
    "a fold that is not there": (HEAD + "folds: [0, 1]\n", "5: folds[1]: '1' is no fold of 'toy'", "from 0 to 0"),
    # components
    "an unknown attention": (
        HEAD + "attention: ecaa\n",
        "5: attention: unknown attention 'ecaa'",
        "did you mean 'eca'?",
    ),
    "an unknown name in a mapping": (
        HEAD + "attention:\n  reduction: 4\n  name: sse\n",
        "7: attention.name: unknown attention 'sse'",
        "did you mean 'se'?",
    ),
    "a name of another kind": (
        HEAD + "attention: crop\n",
        "5: attention: unknown attention 'crop'",
        "'crop' is of kind augment",
    ),
    "an unknown task": (HEAD + "task: clasification\n", "5: task: unknown task", "did you mean 'classification'?"),
    "an unknown model": (HEAD.replace("net", "nett"), "3: model: unknown model 'nett'", "did you mean 'net'?"),
    "an unknown dataset": (HEAD.replace("toy", "toi"), "2: dataset: unknown dataset 'toi'", "did you mean 'toy'?"),
    "off for a name": (HEAD + "attention: off\n", "5: attention: 'off' is a boolean", "YAML reads on, off, yes, no"),
    "no in an axis": (
        HEAD + "axes:\n  attention: [se,\n    no]\n",
        "7: axes.attention[1]: 'no' is a boolean",
        "`none`",
    ),
    "null for a name": (HEAD + "attention: ~\n", "5: attention: empty (null)", "write `none`"),
    "a number for a name": (HEAD + "attention: 5\n", "5: attention: '5' is no name", "name"),
    "a mapping without a name": (
        HEAD + "attention: {reduction: 4}\n",
        "5: attention: a mapping needs the key 'name'",
        "{name: none}",
    ),
    "an unknown option": (
        HEAD + "attention:\n  name: se\n  reducton: 4\n",
        "7: attention.reducton: attention 'se' has no option 'reducton'",
        "did you mean 'reduction'?",
    ),
    "an option of the wrong type": (
        HEAD + "attention: {name: se, reduction: 1.5}\n",
        "5: attention.reduction: attention 'se': option 'reduction' is 1.5, which is no int",
        "",
    ),
    "a quoted number": (
        HEAD + "attention: {name: se, reduction: '4'}\n",
        "5: attention.reduction: attention 'se'",
        "quotes",
    ),
    "an option that is a boolean": (
        HEAD + "attention: {name: se, gate: no}\n",
        "5: attention.gate: attention 'se'",
        "YAML reads",
    ),
    "a missing option": (HEAD.replace("net", "deep"), "3: model: model 'deep' needs the option 'arch'", ""),
    "a word that is none of the choices": (
        HEAD.replace("net", "{name: deep, arch: a, stem: cfar}"),
        "3: model.stem: model 'deep': option 'stem' is 'cfar'",
        "",
    ),
    "an option of none": (
        HEAD + "attention: {name: none, reduction: 4}\n",
        "5: attention.reduction: attention 'none' has no",
        "nothing",
    ),
    "a mapping for an option": (
        HEAD + "attention: {name: se, gate: {a: 1}}\n",
        "5: attention.gate: an option cannot be a mapping",
        "",
    ),
    "a plugin that cannot be loaded": (
        HEAD.replace("net", "broken"),
        "3: model: model 'broken' of test cannot be loaded",
        "its classes are",
    ),
    "data that a dataset refuses": (
        HEAD.replace("toy", "{name: toy, val: 1}"),
        "2: dataset: toy: val leaves nothing",
        "below 1",
    ),
    "a dataset without describe": (
        HEAD.replace("toy", "silent"),
        "2: dataset: dataset 'silent' has no `describe`",
        "plugin",
    ),
    "an unknown placement": (
        HEAD + "placement: residul\n",
        "5: placement: unknown placement 'residul'",
        "did you mean 'residual'?",
    ),
    "no site to place at": (HEAD + "placement: []\n", "5: placement: the list is empty", ""),
    "a site twice": (HEAD + "placement: [a, a]\n", "5: placement: a name stands twice", ""),
    "an unknown loss": (HEAD + "loss: {bce: 1, gld: 1}\n", "5: loss.gld: unknown loss 'gld'", "did you mean 'gdl'?"),
    "a coefficient of zero": (HEAD + "loss: {bce: 0}\n", "5: loss.bce: '0': a number above 0 is meant", ""),
    "a coefficient with options": (
        HEAD + "loss: {gdl: {alpha: 2}}\n",
        "5: loss.gdl: a coefficient is a number",
        "[{name: gdl",
    ),
    "no loss": (HEAD + "loss: []\n", "5: loss: there is no loss", "coefficients"),
    "augment without a list": (HEAD + "augment: flip\n", "5: augment: 'flip': a list of augmentations", "[crop, flip]"),
    "none for no augmentation": (HEAD + "augment: none\n", "5: augment: 'none': a list of augmentations", "[]"),
    "an unknown augmentation": (
        HEAD + "augment:\n- crop\n- flipp\n",
        "7: augment[1]: unknown augment 'flipp'",
        "did you mean 'flip'?",
    ),
    # train
    "no epochs": (STAGED + "train: {batch_size: 4}\n", "4: train: the key 'epochs' is missing", "stages"),
    "no train": (STAGED, "1: train: the key 'epochs' is missing", "epochs"),
    "train is no mapping": (STAGED + "train: 5\n", "4: train: '5': a mapping is meant", "epochs"),
    "an unknown key of train": (
        HEAD.replace("epochs: 2", "epochs: 2, batchsize: 3"),
        "4: train.batchsize: unknown key",
        "'batch_size'",
    ),
    "lr outside the optimizer": (
        HEAD.replace("epochs: 2", "epochs: 2, lr: 3"),
        "4: train.lr: unknown key 'lr' of train",
        "optimizer: {name: sgd",
    ),
    "label smoothing in train": (
        HEAD.replace("epochs: 2", "epochs: 2, label_smoothing: 0"),
        "4: train.label_smoothing",
        "cross_entropy",
    ),
    "no whole epochs": (
        HEAD.replace("epochs: 2", "epochs: 1.5"),
        "4: train.epochs: '1.5': the number of epochs is a whole",
        "",
    ),
    "an empty batch": (
        HEAD.replace("epochs: 2", "epochs: 2, batch_size: 0"),
        "4: train.batch_size: '0': the batch size",
        "",
    ),
    "no norm to clip at": (
        HEAD.replace("epochs: 2", "epochs: 2, clip_norm: 0"),
        "4: train.clip_norm: '0': a norm above 0",
        "",
    ),
    "a decay of one": (
        HEAD.replace("epochs: 2", "epochs: 2, ema: 1"),
        "4: train.ema: '1': a decay between 0 and 1",
        "",
    ),
    "an unknown precision": (
        HEAD.replace("epochs: 2", "epochs: 2, precision: fp16"),
        "4: train.precision: 'fp16' is none of",
        "did you mean",
    ),
    "an unknown choice": (
        HEAD.replace("epochs: 2", "epochs: 2, choose: test"),
        "4: train.choose: 'test' is none of last, best",
        "best",
    ),
    "a switch that is a word": (
        HEAD.replace("epochs: 2", "epochs: 2, compile: maybe"),
        "4: train.compile: 'maybe': true or false",
        "",
    ),
    "freeze without a list": (
        HEAD.replace("epochs: 2", "epochs: 2, freeze: stem"),
        "4: train.freeze: 'stem': a list of names",
        "[stem]",
    ),
    "an unknown optimizer": (
        HEAD.replace("epochs: 2", "epochs: 2, optimizer: adm"),
        "4: train.optimizer: unknown optimizer 'adm'",
        "'adam'",
    ),
    "a schedule that needs more": (
        HEAD.replace("epochs: 2", "epochs: 2, schedule: step"),
        "4: train.schedule: schedule 'step' needs",
        "",
    ),
    "epochs beside stages": (
        STAGED + "train:\n  epochs: 1\n  stages: [{epochs: 1}]\n",
        "5: train.epochs: 'epochs' stands beside",
        "every stage",
    ),
    "freeze beside stages": (
        STAGED + "train:\n  freeze: []\n  stages: [{epochs: 1}]\n",
        "5: train.freeze: 'freeze' stands beside",
        "every stage",
    ),
    "no stages": (STAGED + "train: {stages: []}\n", "4: train.stages: a list: a list of stages", "{epochs: 10}"),
    "a stage that is a number": (
        STAGED + "train: {stages: [5]}\n",
        "4: train.stages[0]: '5': a mapping is meant",
        "epochs",
    ),
    "a stage without epochs": (
        STAGED + "train:\n  stages:\n  - {lr: 1}\n",
        "6: train.stages[0]: the key 'epochs' is missing",
        "stage",
    ),
    "an unknown key of a stage": (
        STAGED + "train: {stages: [{epochs: 1, freez: []}]}\n",
        "4: train.stages[0].freez: unknown key",
        "'freeze'",
    ),
    "lr twice in a stage": (
        STAGED + "train: {stages: [{epochs: 1, lr: 1, optimizer: {name: sgd, lr: 2}}]}\n",
        "4: train.stages[0].lr: 'lr' is given twice",
        "leave one out",
    ),
}
