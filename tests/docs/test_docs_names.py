"""What the program calls something is named in the pages, and their links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import re
import typing
from pathlib import Path

import pytest
from docs.docs_pages import DOCS, PAGES, ROOT, text

from harness import cli, contracts, hookspecs
from harness.claims.judging import VerdictWord
from harness.discovery import load
from harness.grid import claims, components, evaluating, plan, recipe, tree
from harness.registry import KINDS, Registry
from harness.stats.verdicts import Word

HOOKS = [name for name in vars(hookspecs) if name.startswith("harness_")]


def first_column(page: str) -> set[str]:
    """What stands as code in the first column of the page's tables."""
    cells = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+)", page, re.M)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(name: str):
    signature = re.sub(r"'([^']*)'", r"\1", str(inspect.signature(getattr(hookspecs, name))))
    assert f"\n{name}{signature}\n" in text("hooks.md")
    assert name in first_column(text("hooks.md"))


def test_there_are_four_hooks():
    assert len(HOOKS) == 4


def test_the_signature_of_add_is_documented():
    signature = str(inspect.signature(Registry.add, eval_str=True)).replace("self, ", "").removesuffix(" -> None")
    signature = re.sub(r"\b(?:collections\.abc|typing)\.", "", signature)
    assert f"registry.add{signature}\n" in text("hooks.md")


@pytest.mark.parametrize("key", [*tree.STUDY, *tree.CONFIG])
def test_every_key_of_a_grid_has_a_section(key: str):
    assert f"\n### `{key}`\n" in text("grid.md")


@pytest.mark.parametrize("key", recipe.TRAIN)
def test_every_key_of_train_stands_in_the_table(key: str):
    assert key in first_column(text("grid.md"))


@pytest.mark.parametrize("key", recipe.STAGE)
def test_every_key_of_a_stage_is_named(key: str):
    section = text("grid.md").split("### Stages", 1)[1].split("\n## ", 1)[0]
    assert f"`{key}`" in section


@pytest.mark.parametrize("key", claims.KEYS)
def test_every_key_of_a_claim_stands_in_the_table(key: str):
    assert key in first_column(text("grid.md").split("## Claims", 1)[1])


@pytest.mark.parametrize("name", evaluating.KNOWN)
def test_everything_that_can_be_evaluated_stands_in_the_table(name: str):
    assert name in first_column(text("grid.md").split("### `evaluate`", 1)[1])


def declared() -> list[ast.stmt]:
    """Public classes and names of contracts.py, those for type checkers among them."""
    body = ast.parse(inspect.getsource(contracts)).body
    body += [inner for node in body if isinstance(node, ast.If) for inner in node.body]
    return [node for node in body if isinstance(node, (ast.ClassDef, ast.AnnAssign))]


@pytest.mark.parametrize("node", declared(), ids=lambda n: getattr(n, "name", "") or ast.unparse(n.target))
def test_every_contract_is_documented_with_all_its_members(node: ast.stmt):
    name = node.name if isinstance(node, ast.ClassDef) else ast.unparse(node.target)
    section = text("contracts.md").split(f"\n### `{name}`\n", 1)[1].split("\n#", 1)[0]
    for member in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(member, ast.AnnAssign):
            assert f"\n{ast.unparse(member.target)}: " in section
        elif isinstance(member, ast.FunctionDef):
            assert f"\n{member.name}(" in section
            said = " ".join((ast.get_docstring(member) or "").split())
            assert said in section


def test_there_are_two_dozen_contracts():
    assert len(declared()) >= 22


@pytest.mark.parametrize("word", [*plan.DESIGNS, *components.PLACEMENTS])
def test_every_design_and_placement_is_named(word: str):
    assert f"`{word}`" in text("grid.md")


@pytest.mark.parametrize("word", [*typing.get_args(Word), *typing.get_args(VerdictWord)])
def test_every_verdict_word_is_explained(word: str):
    assert word in first_column(text("reports.md"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_explained_and_its_components_are_listed(kind: str):
    assert kind in first_column(text("plugins.md"))
    for component in load(third_party=False).registry.components(kind):
        assert f"\n### {kind} `{component.name}`\n" in text("components.md")


def test_every_environment_variable_is_named():
    sources = [p.read_text(encoding="utf-8") for p in (ROOT / "harness").rglob("*.py")]
    variables = {name for source in sources for name in re.findall(r'"(HARNESS_[A-Z]+)"', source)}
    assert {"HARNESS_DATA", "HARNESS_CACHE", "HARNESS_PLUGINS"} <= variables
    for name in variables:
        assert f"`{name}" in text("plugins.md"), name
        assert name in first_column(text("commands.md")), name


@pytest.mark.parametrize("code", [0, cli.EXIT_FAILED, cli.EXIT_USER, cli.EXIT_INTERRUPTED])
def test_every_exit_code_is_explained(code: int):
    assert f"\n| {code} | " in text("commands.md")
    assert re.search(rf"with {code}\b", text("reports.md"))


def test_the_rooms_are_those_that_the_plan_of_the_house_allows():
    source = (ROOT / "tests" / "house" / "test_imports.py").read_text(encoding="utf-8")
    wanted = ("FLOORS", "ALLOWED")
    named = {n.targets[0].id: n for n in ast.parse(source).body if isinstance(n, ast.Assign) and _is_name(n.targets[0])}
    plans = {name: eval(ast.unparse(named[name].value), {}) for name in wanted}  # literals, and `set()`
    floors, allowed = plans["FLOORS"], plans["ALLOWED"]
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| .* \| (.*) \|$", text("architecture.md"), re.M)
    assert {room: int(floor) for floor, room, _ in rows} == floors
    for floor, room, imports in rows:
        expected = ", ".join(sorted(allowed[room])) or "nothing" if room in allowed else f"up to floor {floor}"
        assert imports == expected, room


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_internal_link_leads_somewhere(page: Path):
    content = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    content = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.+)$", content, re.M)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


def test_every_page_is_reached_by_a_link_of_another():
    linked = {
        target.partition("#")[0].rpartition("/")[2]
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    }
    assert {p.name for p in DOCS.glob("*.md")} <= linked
