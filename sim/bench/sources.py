"""Which source files a design is made from."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def source_files(*modules: str) -> set[Path]:
    """Files of the modules given and of all they import, directly or not, within this project.

    Modules have to be loaded. Imports inside functions count too, once they have been executed.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        path = Path(getattr(module, "__file__", None) or "/")
        if name in found or module is None or not _is_ours(path):
            continue
        found[name] = path
        waiting += _imports(module, path)
    return set(found.values())


def _is_ours(path: Path) -> bool:
    """Whether a file belongs to this project; its environment may lie within."""
    return ROOT in path.parents and "site-packages" not in path.parts


def _imports(module: ModuleType, path: Path) -> Iterator[str]:
    package = (module.__package__ or "").split(".")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{item.name}" for item in node.names)
