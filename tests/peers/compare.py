"""How fast are the others, on the same core?

    .venv/bin/python tests/peers/compare.py [--quick] [--json results.json]

Each peer is the smallest example of its own documentation, with a public and a protected route
that answer as ours do. They are installed in a temporary folder, from PyPI and npm, at their
newest versions within the ranges below. All servers are up at the same time, on one core, and
asked in turn, round by round; the load has another core. Prints tables in Markdown.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

import uvloop

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from bench.load import request, saturate  # noqa: E402 - from the folder above
from bench.servers import (  # noqa: E402
    PROJECT,
    PROTECTED,
    PUBLIC,
    StartError,
    api,
    bare,
    cores,
    pin_to,
    started,
)
from bench.token_sets import AUDIENCE, RS256, TokenSets  # noqa: E402
from support.program import free_port  # noqa: E402

_FASTAPI = ("fastapi>=0.115", "auth0-fastapi-api>=1.0.0b9", "uvicorn[standard]>=0.34")
_BLACKSHEEP = ("blacksheep[full]>=2.3", "uvicorn[standard]>=0.34")
_INSTALL_SECONDS = 600
_IN_TURN = 2_000
_REFERENCES = ("Express", "bare aiohttp")


class Server(NamedTuple):
    """A server and what it answers to what it does not let through."""

    name: str
    command: Sequence[str]
    environ: dict[str, str]
    port: int
    # Some libraries answer a missing token otherwise than a bad one.
    no_token: int = 401
    asks: bool = True  # for tokens at all
    https_issuer: bool = False


class Scenario(NamedTuple):
    """Requests of a round, by the tokens' issuer, and what they are to be answered with."""

    name: str
    requests: Callable[[bool, int], Iterable[bytes]]
    status: Callable[[Server], int]


def install(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Install the peers. Return the folders of those that are there, and what is missing."""
    installed, missing = {}, []
    node = folder / "node"
    node.mkdir(exist_ok=True)
    for path in (HERE / "package.json", *HERE.glob("*_server.js")):
        shutil.copy(path, node)  # beside node_modules, where Node.js looks for them
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing.append("Node.js and npm, for Express and Fastify")
    else:
        options = ("--no-package-lock", "--no-audit", "--no-fund", "--omit=dev")
        if _runs(["npm", "install", *options], missing, cwd=node):
            installed["node"] = node
    for name, requirements in ("fastapi", _FASTAPI), ("blacksheep", _BLACKSHEEP):
        venv = folder / name
        ready = venv / "ready"
        if not ready.exists():
            # Names of pre-releases are in the ranges where there is nothing else.
            ready_made = _runs([sys.executable, "-m", "venv", str(venv)], missing) and _runs(
                [str(venv / "bin/python"), "-m", "pip", "install", "-q", *requirements], missing
            )
            if not ready_made:
                continue
            ready.touch()
        installed[name] = venv
    return installed, missing


def _runs(command: Sequence[str], missing: list[str], *, cwd: Path | None = None) -> bool:
    try:
        subprocess.run(
            command, check=True, cwd=cwd, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().split("\n")[-1]
        missing.append(f"{' '.join(command)}: {said}")
        return False
    return True


def servers(installed: dict[str, Path], issuer: str) -> list[Server]:
    """Return what is compared: this project, what it stands on, and the peers that are there."""
    command, environ = api(port := free_port(), issuer, AUDIENCE)
    found = [Server("this project", command, environ, port)]
    port = free_port()
    found.append(Server("bare aiohttp", *bare(port), port, asks=False))
    port = free_port()
    found.append(
        Server("bare aiohttp, no headers", [*bare(port)[0], "--no-headers"], {}, port, asks=False)
    )
    if "node" in installed:
        for name, file in ("Express", "express_server.js"), ("Fastify", "fastify_server.js"):
            port = free_port()
            environ = {**_settings(issuer, port), "NODE_ENV": "production"}
            found.append(Server(name, ["node", str(installed["node"] / file)], environ, port))
    for name, folder, no_token in ("FastAPI", "fastapi", 400), ("BlackSheep", "blacksheep", 401):
        if folder in installed:
            port = free_port()
            https = folder == "fastapi"
            claimed = issuer.replace("http:", "https:", 1) if https else issuer
            uvicorn = [str(installed[folder] / "bin/python"), "-m", "uvicorn"]
            options = ["--no-access-log", "--log-level", "warning", "--port", str(port)]
            app = f"{folder}_server:app"
            command = [*uvicorn, app, "--app-dir", str(HERE), *options]
            settings = {**_settings(claimed, port), "PYTHONDONTWRITEBYTECODE": "1"}
            found.append(
                Server(name, command, settings, port, no_token=no_token, https_issuer=https)
            )
    return found


def _settings(issuer: str, port: int) -> dict[str, str]:
    return {"ISSUER": issuer, "AUDIENCE": AUDIENCE, "PORT": str(port)}


def scenarios(tokens: TokenSets, count: int, rounds: int) -> list[Scenario]:
    """Return what is asked. `count`: tokens that are seen once each, in all rounds."""
    several, once, forged = {}, {}, {}
    in_turn = min(_IN_TURN, count)
    for https, of_issuer in (False, tokens), (True, tokens.with_https()):
        several[https] = [request(PROTECTED, token) for token in of_issuer.valid(RS256, in_turn)]
        tokens_once = of_issuer.valid(RS256, count, name="once")
        once[https] = [request(PROTECTED, token) for token in tokens_once]
        forged[https] = [request(PROTECTED, token) for token in of_issuer.forged(RS256, _IN_TURN)]
    share = count // rounds

    def let_in(_server: Server) -> int:
        return 200

    def refused(server: Server) -> int:
        return 401 if server.asks else 200

    return [
        Scenario("public route", lambda _, __: cycle([request(PUBLIC)]), let_in),
        Scenario("one token, over and over", lambda https, _: cycle(several[https][:1]), let_in),
        Scenario(f"{in_turn:,} tokens in turn", lambda https, _: cycle(several[https]), let_in),
        Scenario(
            f"{count:,} tokens, once each",
            lambda https, number: once[https][number * share : (number + 1) * share],
            let_in,
        ),
        Scenario("forged signatures", lambda https, _: cycle(forged[https]), refused),
        Scenario(
            "no token",
            lambda _, __: cycle([request(PROTECTED)]),
            lambda server: server.no_token if server.asks else 200,
        ),
    ]


def unlike(server: Server, tokens: TokenSets) -> list[str]:
    """Say where a server's two messages are not the ones that all have in common."""
    problems = []
    token = tokens.valid(RS256, 1)[0]
    for path, text in (PUBLIC, "public"), (PROTECTED, "protected"):
        asked = Request(
            f"http://127.0.0.1:{server.port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urlopen(asked, timeout=10) as answer:
            message = json.load(answer)
        if message != {"text": f"This is a {text} message."}:
            problems.append(f"{server.name} answers {path} with {message}")
    return problems


def measure(
    scenario: Scenario, compared: Sequence[Server], *, rounds: int, seconds: float
) -> tuple[dict[str, float], list[str]]:
    """Return the median rate of each server, and what was not answered as it should be."""
    rates: dict[str, list[float]] = {server.name: [] for server in compared}
    problems, failed = [], set()
    for number in range(rounds):
        for server in compared:
            answers = uvloop.run(
                saturate(
                    server.port,
                    scenario.requests(server.https_issuer, number),
                    status=scenario.status(server),
                    seconds=seconds,
                    awake=cores() is not None,
                )
            )
            rates[server.name].append(answers.rate)
            problems += [
                f"{server.name}, {scenario.name}: {count} of {answers.answers} had status {status}"
                for status, count in answers.unexpected.items()
            ]
            if answers.unexpected:
                failed.add(server.name)
    medians = {
        name: statistics.median(values) for name, values in rates.items() if name not in failed
    }
    return medians, problems


def table(
    title: str, compared: Sequence[Server], found: dict[str, dict[str, float]], reference: str = ""
) -> str:
    """Return rates in Markdown, or ratios to a reference."""
    lines = [f"| {title} | {' | '.join(found)} |", f"|---|{'---:|' * len(found)}"]
    for server in compared:
        cells = []
        for rates in found.values():
            rate, base = rates.get(server.name), rates.get(reference)
            if rate is None or (reference and base is None):
                cells.append("failed")
            else:
                cells.append(f"{rate / base:.2f}" if base else f"{rate:,.0f}")
        lines.append(f"| {server.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Install, measure, print. Return 1 where something is missing or answered wrongly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds")
    parser.add_argument("--folder", type=Path, help="where the peers are installed, and stay")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    seconds, rounds, count = (0.4, 3, 3_000) if options.quick else (0.5, 15, 20_000)
    folder = options.folder or Path(tempfile.gettempdir()) / f"hello-aiohttp-peers-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    installed, problems = install(folder)
    problems = [f"MISSING {what}" for what in problems]
    tokens = TokenSets()
    asked = scenarios(tokens, count, rounds)
    pinned = cores() or (None, None)
    found: dict[str, dict[str, float]] = {}
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps([tokens.key(RS256).jwk]))
    issuer = [sys.executable, str(PROJECT / "tests/bench/servers.py"), "issuer", str(tokens.port)]
    with ExitStack() as stack:
        stack.enter_context(
            started([*issuer, "--jwks", str(jwks)], {}, tokens.port, core=pinned[1])
        )
        compared = []
        for server in servers(installed, tokens.url):
            log = folder / f"{server.name}.log"
            try:
                stack.enter_context(
                    started(server.command, server.environ, server.port, core=pinned[0], log=log)
                )
            except StartError as error:
                problems.append(f"MISSING {server.name}: {error}")
            else:
                compared.append(server)
        pin_to(pinned[1])
        for server in compared:
            problems += unlike(server, tokens.with_https() if server.https_issuer else tokens)
        for scenario in asked[:3]:  # caches fill, keys arrive, code is compiled
            measure(scenario, compared, rounds=1, seconds=seconds * 2)
        for scenario in asked:
            found[scenario.name], wrong = measure(
                scenario, compared, rounds=rounds, seconds=seconds
            )
            problems += wrong
    print(table("requests/s", compared, found))
    for reference in _REFERENCES:
        print(f"\n{table(f'in proportion to {reference}', compared, found, reference)}")
    for problem in problems:
        print(f"\n{problem}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
