"""What shells get behind <TAB>: through the protocol for all three, and through the real shells that are installed."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cli.programs import environment, harness, on_path, plugin
from trackers.made_up import failed, record, study, trial

from harness.cli import completing
from harness.grid import recipe, tree
from harness.store import Store
from harness.trial import Choice

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores: `runs` with two studies, a good and a failed trial; `old runs` with another."""
    here = tmp_path_factory.mktemp("completion")
    store = Store(here / "runs")
    first = study({"none": [trial()], "se": [trial("se")]}, "digits-first")
    store.write_study(first)
    store.write_study(study({"none": [trial()]}, "digits-second"))
    store.write_record(record(trial()))
    store.write_record(failed(trial("se")))
    Store(here / "old runs").write_study(study({"none": [trial(seed=5)]}, "ancient"))
    (here / "runs" / "studies" / "two\nlines.json").write_text("{}")
    return here


def ask(folder: Path, shell: str, line: str, home: Path | None = None, **changes: str) -> list[str]:
    """The values that the program offers at the end of the line, as the shell's script asks for them."""
    words = line.split(" ")
    changes |= {"_HARNESS_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        changes["COMP_CWORD"] = words[-1]
    done = harness(folder, home=home, **changes)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if shell == "zsh":
        return [value for kind, value in zip(lines[::3], lines[1::3], strict=False) if kind == "plain"]
    return [x.removeprefix("plain,").split("\t")[0] for x in lines if x.startswith("plain,")]


@pytest.mark.parametrize("shell", SHELLS)
def test_components_and_studies_in_every_shell(folder: Path, shell: str):
    assert {"se", "eca", "hybrid_parallel", "none"} <= set(ask(folder, shell, "harness show attention "))
    assert ask(folder, shell, "harness report ") == ["digits-first", "digits-second"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("harness comp", {"compare", "completion"}),
        ("harness list a", {"attention", "augment"}),
        ("harness show dataset cifar", {"cifar10", "cifar100"}),
        ("harness show atention ", set()),
        ("harness compare digits-first digits-s", {"digits-second"}),
        ("harness report --runs nowhere ", set()),
        ("harness report --runs 'old runs' ", {"ancient"}),
        ("harness data fetch mnist mn", set()),
        ("harness data fetch cifar10 cifar", {"cifar100"}),
        ("harness predict ", {trial().id}),
        (f"harness export {trial().id[:4]}", {trial().id}),
        ("harness export x --format o", {"onnx"}),
        ("harness ablate --tracker ", {"mlflow", "tensorboard", "wandb"}),
        ("harness ablate --device c", {"cpu", "cuda"}),
        ("harness ablate --set train.ba", {"train.batch_size=", "train.balance="}),
        ("harness completion ", set(SHELLS)),
        ("harness check att", {"attention"}),
        ("harness check dataset cifar", {"cifar10", "cifar100"}),
        ("harness ablate --ret", {"--retry-failed"}),
        ("harness nonsense ", set()),
    ],
)
def test_what_is_offered(folder: Path, line: str, offered: set[str]):
    place = len(shlex.split(line)) - (not line.endswith(" "))
    done = harness(folder, _HARNESS_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(place))
    assert (done.returncode, done.stderr) == (0, "")
    assert {x.removeprefix("plain,") for x in done.stdout.splitlines() if x.startswith("plain,")} == offered


def test_trials_are_described_where_the_shell_shows_it(folder: Path):
    changes = {"_HARNESS_COMPLETE": "fish_complete", "COMP_WORDS": "harness predict ", "COMP_CWORD": ""}
    assert harness(folder, **changes).stdout == f"plain,{trial().id}\tnone on resnet20, digits, seed 0\n"


def several(folder: Path) -> dict[str, str]:
    """Id -> what is said of it, of a store with two rows that differ in an option alone, and one of a fold."""
    first = trial("se")
    config = replace(first.config, attention=Choice.of("se", reduction=8))
    second, third = replace(first, config=config), replace(first, config=replace(config, fold=2))
    for one in (first, second, third):
        Store(folder / "runs").write_record(record(one))
    said = "se(reduction=8) on resnet20, digits, seed 0"
    return {first.id: "se on resnet20, digits, seed 0", second.id: said, third.id: f"{said}, fold 2"}


def test_rows_of_one_block_are_told_apart_by_their_options(tmp_path: Path):
    trials = several(tmp_path)
    changes = {"_HARNESS_COMPLETE": "fish_complete", "COMP_WORDS": "harness export ", "COMP_CWORD": ""}
    lines = harness(tmp_path, **changes).stdout.splitlines()
    assert lines == [f"plain,{name}\t{text}" for name, text in sorted(trials.items())]


@pytest.mark.parametrize("kind", ["9", "63", "33", "37", ""])
def test_bash_gets_descriptions_where_it_lists_words_and_nowhere_else(tmp_path: Path, kind: str):
    trials = several(tmp_path)
    asked = {"_HARNESS_COMPLETE": "bash_complete", "COMP_WORDS": "harness export ", "COMP_CWORD": "2"}
    lines = harness(tmp_path, **asked, COMP_TYPE=kind).stdout.splitlines()
    listed = kind in ("63", "33")
    assert lines == [f"plain,{name}" + f"  ({text})" * listed for name, text in sorted(trials.items())]
    one = min(trials)
    asked["COMP_WORDS"] += one[:6]
    assert harness(tmp_path, **asked, COMP_TYPE=kind).stdout == f"plain,{one}\n", "it goes into the line"


def test_the_keys_for_set_are_those_of_the_grid():
    assert set(completing.GRID) == {*tree.CONFIG, *tree.STUDY}
    assert set(completing.TRAIN) == set(recipe.TRAIN)


@pytest.mark.parametrize("fault", ["print('loud', flush=True)\nimport sys\nprint('loud', file=sys.stderr)\n", ""])
def test_nothing_but_names_reaches_the_line(folder: Path, tmp_path: Path, fault: str):
    broken = (
        fault + "import warnings, os\nwarnings.warn('old')\nos.write(1, b'plain,evil\\n')\nraise OSError('broken')\n"
    )
    home = plugin(tmp_path, {"harness_other": broken})
    offered = ask(folder, "bash", "harness show attention s", home)
    assert "se" in offered
    assert all(name.startswith("s") for name in offered)
    assert ask(folder, "bash", "harness show attention s", HARNESS_PLUGINS="not-there") == offered


def test_a_damaged_record_is_offered_by_its_id_alone(tmp_path: Path):
    for name, text in (("aa11", "{"), ("bb22", '{"status": "ok"}'), ("cc33", "[" * 100_000)):
        path = tmp_path / "runs" / "trials" / name / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert ask(tmp_path, "bash", "harness export ") == ["aa11", "bb22", "cc33"]


def test_an_answer_comes_before_a_user_notices(folder: Path):
    """The time of the processor, which other work on the machine does not change; 0.3 s is what people notice."""
    before = os.times()
    ask(folder, "bash", "harness show attention ")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 0.6  # three times what it takes on a machine of 2024, so that a slow one passes


def test_completing_imports_nothing_heavy(folder: Path):
    code = (
        "import sys\nfrom harness.cli import completing, group\n"
        "completing.answer(group, 'bash_complete')\n"
        "found = [m for m in ('torch', 'numpy', 'rich', 'h5py', 'mlflow', 'wandb') if m in sys.modules]\n"
        "raise SystemExit(found or 0)\n"
    )
    for line in ("harness show attention ", "harness report ", "harness export ", "harness ablate --set ", "harness "):
        changes = environment(COMP_WORDS=line, COMP_CWORD=str(line.count(" ")))
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=changes, check=False)
        assert done.returncode == 0, line


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script_that_asks_this_program(tmp_path: Path, shell: str):
    done = harness(tmp_path, "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_HARNESS_COMPLETE={shell}_complete" in done.stdout
    assert harness(tmp_path, _HARNESS_COMPLETE=f"{shell}_source").stdout.strip() == done.stdout.strip()


def test_an_unknown_shell_is_refused(tmp_path: Path):
    assert harness(tmp_path, "completion", "tcsh").returncode == 2
    assert harness(tmp_path, _HARNESS_COMPLETE="tcsh_complete").stdout == ""


# ------------------------------------------------------------------------------------------------ the real shells


def real(shell: str, folder: Path, tmp_path: Path, script: str) -> str:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    changes = environment(HOME=str(tmp_path), PATH=f"{on_path(tmp_path)}:{os.environ['PATH']}")
    done = subprocess.run(
        [program, *(["-f"] if shell == "zsh" else []), "-c", script],
        cwd=folder,
        env=changes,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_bash_completes_components_studies_and_keys(folder: Path, tmp_path: Path):
    script = """
        eval "$(harness completion bash)"
        compopt() { [ "$2" = nospace ] && echo "no space"; }  # outside of a line it would only complain
        offer() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _harness_completion harness; echo "${COMPREPLY[*]}"
        }
        complete -p harness
        offer harness show attention spa
        offer harness compare digits-first ""
        offer harness ablate --set train.ep
        COMP_TYPE=63
        offer harness show attention hybrid_p
        offer harness show attention hybrid_
    """
    assert real("bash", folder, tmp_path, script).splitlines() == [
        "complete -o nosort -F _harness_completion harness",
        "spatial",
        "digits-first digits-second",
        "no space",
        "train.epochs=",
        "hybrid_parallel",
        "hybrid_parallel  (channel and spatial gates, both read from the raw input…) "
        "hybrid_sequential  (channel attention, then spatial attention on its result…)",
    ]


def test_bash_at_a_terminal_completes_the_line_that_is_typed(folder: Path, tmp_path: Path):
    """A person's keys, in a real interactive shell: a unique study is filled in, and a space follows."""
    program = shutil.which("bash")
    if program is None:
        pytest.skip("bash is not installed")
    import pty

    ours, theirs = pty.openpty()
    changes = environment(HOME=str(tmp_path), PATH=f"{on_path(tmp_path)}:{os.environ['PATH']}", PS1="> ")
    child = subprocess.Popen(
        [program, "--norc", "--noprofile", "-i"],
        cwd=folder,
        env=changes,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)

    def typed(keys: str, awaited: str) -> str:
        os.write(ours, keys.encode())
        shown, deadline = "", time.monotonic() + 60
        while awaited not in shown and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.5)[0]:
                shown += os.read(ours, 4096).decode(errors="replace")
        return shown

    try:
        typed('eval "$(harness completion bash)"; echo rea""dy\n', "ready\r\n")
        shown = typed("harness report digits-s\t", "digits-second ")
        assert "digits-second " in shown
        shown = typed("\x15harness show attention hybrid_s\t", "hybrid_sequential ")
        assert "hybrid_sequential " in shown
        shown = typed("\x15harness show attention hybrid_\t\t", "hybrid_sequential  (channel attention, then")
        assert "hybrid_parallel  (channel and spatial gates" in shown
        shown = typed("p\t", "arallel ")
        assert "(" not in shown, "what lists words does not fill them in"
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def test_fish_completes_components_and_studies(folder: Path, tmp_path: Path):
    script = """
        harness completion fish | source
        complete -C "harness show attention hybrid_"
        complete -C "harness report digits-"
        complete -C "harness ablate --set train.ep"
    """
    lines = real("fish", folder, tmp_path, script).splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        "hybrid_parallel",
        "hybrid_sequential",
        "digits-first",
        "digits-second",
        "train.epochs=",
    ]


def test_zsh_completes_components_and_studies(folder: Path, tmp_path: Path):
    script = """
        autoload -U compinit; compinit -u -D
        eval "$(harness completion zsh)"
        _describe() { print -l -- "${completions_with_descriptions[@]%%:*}" }
        compadd() { print -r -- "suffix=$2="; print -l -- "${completions[@]}" }
        offer() { words=("$@"); CURRENT=$#; _harness_completion }
        offer harness show attention hybrid_
        offer harness report digits-
        offer harness ablate --set train.ep
    """
    assert real("zsh", folder, tmp_path, script).splitlines() == [
        "hybrid_parallel",
        "hybrid_sequential",
        "suffix= =",
        "digits-first",
        "digits-second",
        "suffix==",
        "train.epochs=",
    ]
