"""Every check of attention can fail: one block with that fault alone for each."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from conformance.looking import SLOW, levels, of, registry

from harness.conformance import check

IMAGES = {
    "domain": "NoDomain",
    "shape": "Turned",
    "one_by_one": "NormOverMap",
    "few_channels": "EightGroups",
    "finite": "RootOfZero",
    "gradient": "Detached",
    "independent": "Mixed",
    "attaches": "BareSigmoid",
    "seed": "OwnStream",
    "state_dict": "LooseTensor",
    "weights_only": "ObjectInState",
    "bf16": "FewBits",
    "channels_last": "View",
}
SEQUENCES = {
    "shape": "FirstFrames",
    "one_frame": "TwoFrames",
    "few_channels": "WideGroups",
    "finite": "RootOfZero",
    "gradient": "Detached",
    "independent": "Mixed",
    "mask": "MeanOverPadding",
    "padding": "Unpadded",
    "causal": "NotCausal",
    "attaches": "Halves",
}


def test_a_block_without_fault_passes_every_check() -> None:
    report = check("attention", "good", registry=registry("attention", "conformance.broken_attention:Good"))
    assert not report.failures + report.warnings, str(report)
    assert {f.check for f in report.findings if f.level == "skipped"} == {"entry"}  # a registry filled by hand has none
    assert "24 passed" in str(report)


@pytest.mark.parametrize("name", ["InPlace", "Wide"])
def test_a_block_that_writes_into_its_input_or_takes_great_widths_alone_passes(name: str) -> None:
    report = check("attention", "good", registry=registry("attention", f"conformance.broken_attention:{name}"))
    assert report.ok, str(report)


@pytest.mark.parametrize("name", ["Good", "Causal"])
def test_a_block_for_sequences_without_fault_passes(name: str) -> None:
    found = levels("attention", f"conformance.broken_temporal:{name}", "attaches")
    assert set(found.values()) == {"passed", "skipped"}
    assert found["causal"] == ("passed" if name == "Causal" else "skipped")


@pytest.mark.parametrize(("wanted", "name"), IMAGES.items())
def test_a_block_for_images_fails_the_check_of_its_fault_alone(wanted: str, name: str) -> None:
    assert of(levels("attention", f"conformance.broken_attention:{name}", wanted), "failed") == {wanted}


@pytest.mark.parametrize(("wanted", "name"), SEQUENCES.items())
def test_a_block_for_sequences_fails_the_check_of_its_fault_alone(wanted: str, name: str) -> None:
    assert of(levels("attention", f"conformance.broken_temporal:{name}", wanted), "failed") == {wanted}


@pytest.mark.parametrize(
    ("wanted", "name"), [("idle_weights", "BiasBeforeNorm"), ("compile", "Branch"), ("onnx", "NoOnnx")]
)
def test_what_stops_no_study_is_a_warning(wanted: str, name: str) -> None:
    found = levels("attention", f"conformance.broken_attention:{name}", wanted)
    assert of(found, "warning") == {wanted}
    assert not of(found, "failed")


@pytest.mark.parametrize("domain", ["attention", "temporal"])
def test_one_item_is_required_in_evaluation_and_in_training_a_warning(domain: str) -> None:
    found = levels("attention", f"conformance.broken_{domain}:Squeezed", "")
    assert of(found, "failed") == {"batch_of_one", "independent"}  # which looks at items alone, too
    found = levels("attention", f"conformance.broken_{domain}:NormOverBatch", "")
    assert of(found, "failed") == set()
    assert of(found, "warning") == {"batch_of_one"}
    assert "training does not: ValueError: Expected more than 1 value per channel" in found.told["batch_of_one"]


def test_the_harness_trains_on_no_last_batch_of_one_as_the_kit_says() -> None:
    import torch
    from conformance.test_conformance_contents import Held

    from harness.loading import Loader

    def sizes(items: int, batch_size: int) -> list[int]:
        loader = Loader(Held("train", torch.zeros(items, 1, 2, 2)), "cpu", batch_size, seed=0)  # type: ignore[arg-type]
        return [len(batch["index"]) for batch in loader.training(0)]

    assert sizes(9, 4) == [4, 4]
    assert sizes(3, 1) == [1, 1, 1]
    assert sizes(1, 4) == [1]


def test_every_check_of_attention_is_shown_to_fail() -> None:
    from harness.conformance.attention import ATTENTION
    from harness.conformance.temporal import TEMPORAL

    shown = {*IMAGES, *SEQUENCES, "batch_of_one", "idle_weights", "compile", "onnx", "builds"}
    assert {c.name for c in (*ATTENTION, *TEMPORAL)} == shown


@pytest.mark.parametrize(
    ("name", "more", "wanted", "said"),
    [
        ("Good", {"summary": ""}, "summary", "there is no summary"),
        ("Untyped", {}, "options", "'ratio' has no type"),
        ("WrongDefault", {}, "options", "'ratio' is 'four' by default, which is no int"),
        ("NoDefault", {}, "options", "'ratio' has no default, and there is no `example` of it"),
        ("Open", {}, "options", "'**options' takes options that nobody can know"),
        ("Good", {"departs": {"beauty": "it is plain"}}, "departures", "names 'beauty', which is no check"),
        ("Good", {"departs": {"finite": " "}}, "departures", "gives no reason for 'finite'"),
        ("Good", {"departs": {"builds": "why not"}}, "departures", "without which nothing else can be checked"),
        ("NoModule", {}, "builds", "it is a NoModule, and no torch.nn.Module"),
        ("Missing", {}, "loads", "has no 'Missing'"),
    ],
)
def test_how_it_is_declared_is_checked(name: str, more: dict[str, Any], wanted: str, said: str) -> None:
    known = registry("attention", f"conformance.broken_attention:{name}", **more)
    found = levels("attention", known, wanted)
    assert of(found, "failed") == {wanted}
    assert said in found.told[wanted]


def test_no_source_is_a_warning() -> None:
    known = registry("attention", "conformance.broken_attention:Good", source="")
    assert of(levels("attention", known, "source"), "warning") == {"source"}


def test_a_target_without_a_file_has_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    from conformance.broken_attention import Good

    module = types.ModuleType("made_by_hand")
    module.Good = Good  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_by_hand", module)
    found = levels("attention", "made_by_hand:Good", "code")
    assert of(found, "failed") == {"code"}


def test_what_departs_by_design_is_skipped_with_its_reason_and_a_false_word_is_a_warning() -> None:
    known = registry("attention", "conformance.broken_attention:Mixed", departs={"independent": "it compares items"})
    found = levels("attention", known, "independent")
    assert not of(found, "failed")
    assert found.told["independent"] == "by design: it compares items"
    known = registry("attention", "conformance.broken_attention:Good", departs={"independent": "it compares items"})
    assert of(levels("attention", known, "independent"), "warning") == {"independent"}


def test_options_are_those_given_else_the_example_else_the_defaults() -> None:
    known = registry("attention", "conformance.broken_attention:NoDefault", example={"ratio": 3})
    assert not of(levels("attention", known, "options"), "failed")
    known = registry("attention", "conformance.broken_attention:NoDefault")
    assert not of(levels("attention", known, "options", ratio=3), "failed")


def test_a_block_that_refuses_some_widths_in_words_passes() -> None:
    found = levels("attention", "conformance.broken_attention:Sixties", "attaches")
    assert not of(found, "failed")
    assert found.told["builds"] == "with 64 channels"
    assert "channels are no multiple of 64" in found.told["attaches"]


@pytest.mark.parametrize("name", ["RefusesAll", "RefusesMaps", "EndsTheTest"])
def test_a_block_that_refuses_everything_does_not_pass(name: str) -> None:
    report = check("attention", "good", registry=registry("attention", f"conformance.broken_attention:{name}"))
    assert not report.ok, str(report)
    if name == "RefusesAll":
        (refused,) = report.failures
        assert refused.what.startswith("DataError: there are no weights (download them); only a dataset, and what")


def test_what_declares_files_is_skipped_for_want_of_them() -> None:
    known = registry("attention", "conformance.broken_attention:RefusesAll", files=("weights",))
    report = check("attention", "good", registry=known)
    assert report.ok
    assert {f.check for f in report.findings if f.what == "there are no weights (download them)"} == {"builds"}


def test_a_finding_says_what_why_and_how_to_mend() -> None:
    report = check("attention", "good", registry=registry("attention", "conformance.broken_attention:Missing"))
    assert not report.ok
    text = str(report)
    assert "failed  loads: attention 'good' of tests 0 cannot be loaded from" in text
    assert "why: the target is imported" in text
    assert "mend: its classes are " in text


def test_the_caller_keeps_its_random_streams_and_checks_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    before = torch.get_rng_state()
    levels("attention", "conformance.broken_attention:Good", "seed")
    assert torch.equal(before, torch.get_rng_state())
    assert capsys.readouterr().out == ""


def test_slow_checks_are_those_that_trace() -> None:
    assert {"compile", "onnx", "attaches"} == SLOW
