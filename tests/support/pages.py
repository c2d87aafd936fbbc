"""What is in the project: its pages with their examples and tables, and the program?

A test asks for what a page shows by an id, which stands in a comment: `<!-- example: id -->` above
a block of code, `<!-- output: id -->` above what that prints, `<!-- table: id -->` above a table,
and `<!-- row: id -->` in the first cell of a row. So the words around it can change.
"""

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
_NAMED = re.compile(
    r"^<!-- (example|output): ([a-z0-9-]+) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_TABLE = re.compile(r"^<!-- table: ([a-z0-9-]+) -->\n((?:\|.*\n)+)", re.MULTILINE)
_ROW = re.compile(r"\s*<!-- row: ([a-z0-9-]+) -->\s*")


def run_py(folder: Path) -> Path:
    """Copy run.py, and no .env that somebody may have beside it. It wants PYTHONPATH=PROJECT."""
    return Path(shutil.copy(PROJECT / "run.py", folder))


def text(page: str) -> str:
    """A page's source."""
    return (PROJECT / page).read_text("utf-8")


def prose(page: str) -> str:
    """A page's source outside of its code blocks."""
    return _FENCED.sub("", text(page))


def fences(page: str) -> list[tuple[str, str]]:
    """Each code block of a page: its language and its code."""
    return _FENCED.findall(text(page))


def ids(page: str) -> list[tuple[str, str]]:
    """Each id of a page in its order, with its kind: example, output, table."""
    return re.findall(r"^<!-- (\w+): ([a-z0-9-]+) -->$", prose(page), re.MULTILINE)


def examples(page: str, *languages: str) -> dict[str, str]:
    """A page's examples in some languages, or all of them, by their ids and in their order."""
    return {
        name: code
        for kind, name, language, code in _NAMED.findall(text(page))
        if kind == "example" and (not languages or language in languages)
    }


def outputs(page: str) -> dict[str, str]:
    """What a page says that its examples print, by their ids."""
    return {name: code for kind, name, _, code in _NAMED.findall(text(page)) if kind == "output"}


def example(page: str, name: str) -> str:
    """The code of an example."""
    return examples(page)[name]


def output(page: str, name: str) -> str:
    """What a page says that an example prints."""
    return outputs(page)[name]


def rows(page: str, name: str) -> list[list[str]]:
    """The cells of a table's rows, below its heading and without the comments in them."""
    return [_said(cells) for cells in _table(page, name)]


def rows_by_id(page: str, name: str) -> dict[str, list[str]]:
    """The same by the ids of the rows, each of which has one."""
    return {_row_id(cells[0]): _said(cells) for cells in _table(page, name)}


def row(page: str, name: str) -> list[str]:
    """The cells of the one row of this id, in whatever table."""
    [cells] = [
        _said(cells)
        for line in prose(page).splitlines()
        if (cells := _cells(line)) and _row_id(cells[0]) == name
    ]
    return cells


def _table(page: str, name: str) -> list[list[str]]:
    [table] = [body for found, body in _TABLE.findall(text(page)) if found == name]
    return [_cells(line) for line in table.splitlines()[2:]]


def _cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line)[1:-1]


def _row_id(cell: str) -> str:
    return "".join(_ROW.findall(cell))


def _said(cells: list[str]) -> list[str]:
    return [_ROW.sub("", cell).strip().replace(r"\|", "|") for cell in cells]
