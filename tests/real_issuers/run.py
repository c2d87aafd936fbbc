"""Do tokens of issuers that others wrote work here?

    .venv/bin/python tests/real_issuers/run.py [--only glewlwyd] [--folder FOLDER]

Installs each issuer from npm, PyPI or Debian in a temporary folder, starts it at a port of this
machine, gets tokens from it as its clients do, and sends them to protected applications. Prints
tables in Markdown. Exits with 1 if an answer is not the expected one.
"""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import ClientError

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from bench.servers import StartError  # noqa: E402
from real_issuers import ask_authlib, ask_django, ask_glewlwyd, ask_oidc_provider  # noqa: E402 - from the folder above
from real_issuers.asking import AskError  # noqa: E402
from real_issuers.installing import InstallError  # noqa: E402
from real_issuers.report import Report, compared, markdown  # noqa: E402

_SECONDS = 900  # for one issuer, with its installation
_ISSUERS: dict[str, Callable[[Path], Awaitable[Report]]] = {
    "oidc-provider": ask_oidc_provider.ask,
    "django-oauth-toolkit": ask_django.ask,
    "authlib": ask_authlib.ask,
    "glewlwyd": ask_glewlwyd.ask,
}


async def ask_all(names: list[str], folder: Path) -> tuple[list[Report], list[str]]:
    """Ask one issuer after the other. Return what came, and what went wrong."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    reports, problems = [], []
    for name in names:
        try:
            async with asyncio.timeout(_SECONDS):
                reports.append(await _ISSUERS[name](folder))
        except InstallError as error:
            problems.append(f"MISSING {name}: {error}")
        except (AskError, StartError, ClientError, TimeoutError) as error:
            problems.append(f"FAILED {name}: {error!r}")
    return reports, problems


def printed(reports: list[Report]) -> str:
    """Return the tables."""
    said = [
        (each.issuer, each.asked, str(each.status), f"`{each.answer}`")
        for report in reports
        for each in report.introspected
    ]
    tokens = [
        (issuer, what, f"`{value}`") for report in reports for issuer, what, value in report.tokens
    ]
    advice = [each for report in reports for each in report.advice]
    lines = [line for report in reports for line in report.lines]
    return "\n\n".join(
        (
            "## What is answered to JWTs",
            compared([line for line in lines if not line.token.startswith("opaque")]),
            "## What is answered to opaque tokens",
            compared([line for line in lines if line.token.startswith("opaque")]),
            "## The same, with the reasons",
            markdown(
                ("issuer", "tokens", "what is sent", "answer", "reason, or what the handler saw"),
                [line[:5] for line in lines],
            ),
            "## What the issuers say about tokens (introspection)",
            markdown(("issuer", "asked about", "status", "answer"), said),
            "## What their tokens are like",
            markdown(("issuer", "token", "header and claims"), tokens),
            "## What `auth.explain` advises",
            markdown(("issuer", "token", "advice"), advice),
        )
    )


def main() -> int:
    """Install, ask, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=sorted(_ISSUERS), help="these issuers")
    parser.add_argument("--folder", type=Path, help="where the issuers are installed, and stay")
    options = parser.parse_args()
    logging.getLogger("hello.auth").addHandler(logging.NullHandler())  # the tables say it all
    names = options.only or list(_ISSUERS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reports, problems = asyncio.run(ask_all(names, folder))
    print(printed(reports))
    problems += [failure for report in reports for failure in report.failures]
    for problem in problems:
        print(f"\n{problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
