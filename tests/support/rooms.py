"""Which rooms does the house have, and which may import which?"""

import ast
from pathlib import Path

from support.pages import PROJECT

ORDER = [
    *(
        "run",
        "server",
        "app",
        "operating",
        "document",
        "messages",
        "connections",
        "streams",
        "incoming",
        "bodies",
        "responses",
        "config",
        "values",
        "logs",
        "auth",
    ),
    "tokens",
]
"""From the door inwards: each may import those after it, and none before it."""

AUTH_ORDER = [
    *("__main__", "terminal", "__init__", "openapi", "explaining", "live", "protection"),
    *("metadata", "beside", "routes", "decorators", "protected_app", "decisions", "unguarded"),
    *("marks", "answers", "reading"),
]

TOKENS_ORDER = [
    *("explain", "__init__", "validator", "cache", "requirements", "possession", "access_token"),
    *("issuers", "introspection", "keys", "jwt", "presented", "hooks", "hosts", "timing", "urls"),
    *("bounded", "errors", "challenges"),
]


def files(folder: str) -> dict[str, list[Path]]:
    """The files of a package by its rooms: a module is one, and so is a folder."""
    rooms: dict[str, list[Path]] = {}
    for path in sorted((PROJECT / folder).rglob("*.py")):
        name = path.relative_to(PROJECT / folder).parts[0].removesuffix(".py")
        rooms.setdefault(name, []).append(path)
    return rooms


def imported(path: Path) -> set[str]:
    """The absolute names of the modules that a file imports, wherever in it."""
    package = path.relative_to(PROJECT).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def rooms_that(path: Path, within: str) -> set[str]:
    """The rooms of a package that a file imports from."""
    prefix = f"{within}."
    return {
        name.removeprefix(prefix).split(".")[0]
        for name in imported(path)
        if name.startswith(prefix)
    }
