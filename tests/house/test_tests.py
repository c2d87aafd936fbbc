"""Do the tests keep to their own folders: what several use in support/, and one question a file?"""

import ast
from pathlib import Path

import pytest

from support.pages import PROJECT

TESTS = PROJECT / "tests"
FILES = sorted(TESTS.rglob("test_*.py"))


def named(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_test_file_imports_no_other(path: Path) -> None:
    others = {other.stem for other in FILES} | {"conftest"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not {module.rpartition(".")[2] for module in modules} & others


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_test_file_says_which_question_it_answers(path: Path) -> None:
    question = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert question is not None
    assert "?" in question
