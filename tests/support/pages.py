"""What is in the project: the guide's pages, and the program?"""

import re
import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(path.relative_to(PROJECT))
    for pattern in ("*.md", "hello/**/*.md", "tests/**/*.md", ".github/*.md")
    for path in PROJECT.glob(pattern)
)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_py(folder: Path) -> Path:
    """Copy run.py, and no .env that somebody may have beside it. It wants PYTHONPATH=PROJECT."""
    return Path(shutil.copy(PROJECT / "run.py", folder))


def text(page: str) -> str:
    """What a page says."""
    return (PROJECT / page).read_text("utf-8")


def prose(page: str) -> str:
    """What a page says outside of its code blocks."""
    return _FENCED.sub("", text(page))


def blocks(page: str, language: str) -> list[str]:
    """A page's code blocks in a language, in their order."""
    return [code for name, code in _FENCED.findall(text(page)) if name == language]


def languages(page: str) -> set[str]:
    """The languages that a page has code blocks in."""
    return {name for name, _ in _FENCED.findall(text(page))}
