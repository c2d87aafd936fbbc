"""What is to be installed if a library is missing that only some applications need?"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(*packages: str) -> Iterator[None]:
    """Let an import say which packages to install. Raises ModuleNotFoundError.

    Packages are named as pip takes them. This project's own name is not one of them: on PyPI,
    anybody could register it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"there is no {error.name} here: python -m pip install {' '.join(packages)}",
            name=error.name,
        ) from None
