"""The repository as a whole: order of packages, types, style, generated text, pinned versions."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from boards import generated

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for folder in ("boards", "driver", "hw", "sim", "tests")
    for path in ROOT.joinpath(folder).rglob("*.py")
)


def tool(*command):
    """Run a tool of the virtual environment; return what it wrote if it failed."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_packages_import_only_what_they_may():
    assert tool("lint-imports", "--no-cache") == ""


def test_contracts_name_every_room_of_the_gateware():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    rooms = {f"hw.{path.parent.name}" for path in ROOT.glob("hw/*/__init__.py")}
    others = rooms - {"hw.regs"}
    for contract in linter["contracts"]:
        if contract["type"] == "forbidden":
            assert others <= set(contract["forbidden_modules"]), contract["name"]
    layers = " ".join(linter["contracts"][-1]["layers"])
    assert rooms <= set(re.findall(r"[a-z.]+", layers))


def test_host_side_is_typed():
    assert tool("mypy") == ""


def test_style_is_kept():
    assert tool("ruff", "check", "--no-cache", ".") == ""


def test_layout_is_kept():
    assert tool("ruff", "format", "--no-cache", "--check", ".") == ""


def test_generated_text_is_fresh():
    assert generated.stale() == [], "run `make generate`"


def test_stale_text_is_noticed(monkeypatch, tmp_path):
    readme = (ROOT / "README.md").read_text()
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text(readme)
    generated.write()
    assert generated.stale() == []
    fresh = (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text(fresh.replace("`gencap`", "`gencup`"))
    (tmp_path / "driver/include/tocsin_regs.h").unlink()
    assert {path.name for path in generated.stale()} == {"README.md", "tocsin_regs.h"}


def test_files_are_of_a_size_one_can_read():
    too_long = [path for path in SOURCES if lines(path) > 500]
    assert [str(path.relative_to(ROOT)) for path in too_long] == []


def lines(path):
    return len(path.read_text().splitlines())


def test_every_package_has_an_init():
    folders = {path.parent for path in SOURCES}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


@pytest.mark.parametrize("folder", ["boards", "driver", "hw", "sim", "tests"])
def test_every_package_says_what_it_is(folder):
    page = ROOT / folder / "README.md"
    assert page.exists()
    assert lines(page) < 120


def test_product_has_no_unfinished_business():
    word = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = [str(p.relative_to(ROOT)) for p in SOURCES if word.search(p.read_text())]
    assert found == []


def test_every_installed_package_is_pinned():
    """The tree of requirements, as installed here, is in the constraints with exact versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    todo = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    seen, wrong = set(), []
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        extras = [{"extra": extra} for extra in requirement.extras] or [{"extra": ""}]
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        if name != "setuptools" and pinned.get(name) != found.version:
            wrong.append(f"{name} is {found.version} and pinned to {pinned.get(name)}")
        for text in found.requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate(e) for e in extras):
                inner.marker = None
                todo.append(str(inner))
    assert wrong == []


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        ("g++", "missing: g++ (Debian, Ubuntu: apt install g++)."),
        ("perl", "missing: perl (Debian, Ubuntu: apt install perl)."),
        ("python", "there is no python3; install Python 3.11 or newer"),
    ],
)
def test_missing_program_is_named_before_anything_else(tmp_path, lacking, sentence):
    for name, real in {"g++": "true", "perl": "true", "make": "true", "python": None}.items():
        if name == lacking:
            continue
        path = tmp_path / ("python3" if name == "python" else name)
        target = real and f"/bin/{real}"
        path.symlink_to(sys.executable if target is None else target)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / ".ci/preflight"), "python3"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tocsin: ") and sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_old_python_is_named_before_anything_else(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / ".ci/preflight"), str(old)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tocsin: Python 3.9.2 is too old; install Python 3.11 or newer")


def test_example_in_the_readme_works():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        names = {}
        exec(block, names)
        for port in re.findall(r"^# store\.([a-z_]+)", block, re.MULTILINE):
            assert hasattr(names["store"], port), f"the store has no {port}"


def test_tests_that_the_page_names_exist():
    page = (ROOT / "tests/README.md").read_text()
    named = set(re.findall(r"`([a-z]\w*_\w*_\w+)`", page))
    written = "\n".join(path.read_text() for path in SOURCES)
    assert len(named) > 10
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []


def test_nothing_speaks_of_places_that_do_not_ship():
    words = re.compile(r"\.\./" + r"shared|/" + r"work/|\bfacts/|\bissue #?\d")
    pages = [*SOURCES, *ROOT.glob("*.md"), *ROOT.glob("*/*.md"), ROOT / "Makefile"]
    assert [str(p.relative_to(ROOT)) for p in pages if words.search(p.read_text())] == []


def test_paths_in_the_pages_exist():
    pages = [
        ROOT / "README.md",
        *(ROOT / f / "README.md" for f in ("boards", "hw", "sim", "tests")),
    ]
    missing = []
    for page in pages:
        links = re.findall(r"\]\(((?!https?:)[^)#]+)\)", page.read_text())
        missing += [f"{page.name}: {link}" for link in links if not (page.parent / link).exists()]
    assert missing == []
