"""What does an operator see when something goes wrong?

    .venv/bin/python tests/on_call.py [--renew] [name ...]

Makes each event of hello/docs/on-call.md happen to a real server on this machine, and prints what
its log, its health, its metrics and its clients say. `--renew` writes it into the page as well.
"""

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from incidents import INCIDENTS, missing
from support.pages import PROJECT

PAGE = PROJECT / "hello/docs/on-call.md"


def renew(name: str, printed: str) -> None:
    """Put what was printed into its place on the page."""
    page = PAGE.read_text("utf-8")
    before = rf"<!-- output: {name} -->\n```text\n"
    place = re.compile(rf"(?s)(?<={before}).*?(?=```\n)")
    PAGE.write_text(place.sub(lambda _: printed, page, count=1), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make events happen, and print what is seen of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help=f"one of {', '.join(INCIDENTS)}; else all of them")
    parser.add_argument("--renew", action="store_true", help="write it into the page")
    options = parser.parse_args(arguments)
    for name in options.name or INCIDENTS:
        if lack := missing(name):
            print(f"=== {name}\nleft out: {lack}\n")
            continue
        with tempfile.TemporaryDirectory() as folder:
            printed = asyncio.run(INCIDENTS[name](Path(folder, name)))
        print(f"=== {name}\n{printed}", flush=True)
        if options.renew:
            renew(name, printed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
