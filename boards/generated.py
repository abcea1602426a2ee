"""Texts in the repository that are made from the register map."""

from pathlib import Path

from hw.regs import Config
from hw.regs.document import REGISTERS_MARK, c_header, markdown, replace

ROOT = Path(__file__).resolve().parents[1]


def texts() -> dict[Path, str]:
    """What each generated file should contain."""
    readme = ROOT / "README.md"
    return {
        ROOT / "driver/include/tocsin_regs.h": c_header(),
        readme: replace(readme.read_text(), REGISTERS_MARK, f"\n{markdown(Config())}\n"),
    }


def stale() -> list[Path]:
    """Files that do not contain what they should."""
    return [p for p, text in texts().items() if not p.exists() or p.read_text() != text]


def write() -> None:
    """Rewrite them."""
    for path, text in texts().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
