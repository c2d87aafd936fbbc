"""What do the others answer to the same tokens?

    .venv/bin/python tests/peers/behave.py [--ours]

The servers are those of compare.py, each the smallest example of its own documentation. One after
the other is asked, over HTTP, with tokens of an issuer on a port of this machine, which counts how
often it is asked for its keys. Prints a table in Markdown, a column for each server.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from aiohttp import ClientTimeout
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from bench.servers import StartError  # noqa: E402
from hello.sandbox.issuer import OMIT, new_key  # noqa: E402
from peers.asking import Answer, Asked, Headers, Keys, bearer, starting  # noqa: E402 - from beside
from peers.compare import Server, install, servers  # noqa: E402
from support.forger import (  # noqa: E402 - from the folder above
    Build,
    Forger,
    adding,
    claims,
    confused,
    header,
    raw_header,
    raw_payload,
    text,
    unsigned,
)

OURS = "this project"
PEERS = ("Express", "Fastify", "FastAPI", "BlackSheep")
MANY = 50
SLOW_SECONDS = 1.0  # enough for all of them to arrive
HOUR = 3600

_BURST_TIMEOUT = ClientTimeout(total=20)  # fifty fetches take a slow machine some time
_HANG_TIMEOUT = ClientTimeout(total=8)  # most who limit a fetch do so at five seconds
_NODE = ("express", "express-oauth2-jwt-bearer", "fastify", "@fastify/jwt")
_PYTHON = {
    "fastapi": ("fastapi", "auth0_fastapi_api", "auth0_api_python"),
    "blacksheep": ("blacksheep", "guardpost", "pyjwt"),
}


def _in(hours: float) -> int:
    return int(time.time() + hours * HOUR)


def _pem(key: RSAKey) -> bytes:
    return key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


# What requests hold besides a valid token, or in its stead.
REQUESTS: dict[str, Callable[[str], Headers]] = {
    "a valid token": bearer,
    "no token": lambda _: [],
    "`Basic` in place of `Bearer`": lambda _: [("Authorization", "Basic dXNlcjpwYXNz")],
    "`bearer`, a valid token": lambda token: [("Authorization", f"bearer {token}")],
    "two `Authorization` headers": lambda token: [*bearer(token), *bearer("x")],
}
IN_QUERY = "a valid token in `?access_token=`"
# All but the last two are signed by the issuer, where there is a signature at all.
TOKENS: dict[str, Build] = {
    "expired": claims(exp=_in(-1)),
    "`nbf` in an hour": claims(nbf=_in(1)),
    "no `exp`": claims(exp=OMIT),
    "`exp` as text": claims(exp=str(_in(1))),
    "for another audience": claims(aud="https://other.example.com"),
    "of another issuer": claims(iss="https://other.example.com/"),
    "an ID token": claims(aud="the-client", nonce="n", permissions=OMIT),
    "`typ: logout+jwt`": header(typ="logout+jwt"),
    "bound to a key (`cnf`), without a proof": claims(cnf={"jkt": "x" * 43}),
    "bound to a certificate (`cnf`), without one": claims(cnf={"x5t#S256": "x" * 43}),
    "`alg: none`": unsigned("none"),
    "`alg: 256`": header(alg=256),
    "an unknown `crit`": header(crit=["x"], x=1),
    "a header that is a list": raw_header(b'["RS256"]'),
    "a claim that stands twice": raw_payload(adding(b'"sub": "admin"')),
    "`sub` as a number": claims(sub=1),
    "`scope` as a list": claims(scope=["openid"]),
    "opaque, no JWT": text(lambda *_: "V1StGXR8Z5jdHi6BmyT8Nq0aXkLpWc3e"),
    "HS256, with the public key for a secret": confused("HS256", _pem),
    "a signature of another key": lambda forger: forger.forge(key=forger.attacker),
}
DIFFERENT = "different texts in the refusals of these tokens"
UNCHALLENGED = "refusals so far with 401 and no `WWW-Authenticate`"


async def what_it_lets_in(asked: Asked) -> dict[str, str]:
    """Ask with each request and each token, after a first one that keys were fetched for."""
    await asked.token()
    valid = asked.issuer.mint()
    answers = {name: await asked.get(build(valid)) for name, build in REQUESTS.items()}
    answers[IN_QUERY] = await asked.get([], f"?access_token={valid}")
    for name, build in TOKENS.items():
        answers[name] = await asked.get(bearer(build(asked.forger)))
    refusals = {answers[name].said for name in TOKENS if answers[name].status != "200"}
    bare = [each for each in answers.values() if each.status == "401" and not each.challenged]
    return {
        **{name: answer.status for name, answer in answers.items()},
        DIFFERENT: str(len(refusals)),
        UNCHALLENGED: str(len(bare)),
    }


UNKNOWN_KID = "a `kid` that nobody has"
FLOOD = f"{MANY} of these at once: fetches of the keys"


async def unknown_kids(asked: Asked) -> dict[str, str]:
    await asked.token()
    tokens = [_unknown(asked.forger) for _ in range(MANY)]
    before = asked.fetches
    answers = await asked.get_all(map(bearer, tokens))
    return {UNKNOWN_KID: _each_status(answers), FLOOD: str(asked.fetches - before)}


ROTATION = "a new key is published: its first token"


async def rotation(asked: Asked) -> dict[str, str]:
    await asked.token()
    asked.issuer.rotate(asked.keys.second)
    return {ROTATION: (await asked.token()).status}


BURST = f"{MANY} tokens at once, the first ever, from an issuer that takes a second"
BURST_FETCHES = "fetches of the keys for them"


async def cold_burst(asked: Asked) -> dict[str, str]:
    asked.delay = SLOW_SECONDS
    tokens = [asked.issuer.mint(claims={"jti": str(number)}) for number in range(MANY)]
    answers = await asked.get_all(map(bearer, tokens), limit=_BURST_TIMEOUT)
    return {BURST: _each_status(answers), BURST_FETCHES: str(asked.fetches)}


DOWN = "the issuer is down at the first token"
HANGS = "the issuer hangs at the first token: the answer within 8 s"
GONE = "the issuer goes down after the first token: the next"
GONE_UNKNOWN = "and then a `kid` that nobody has"


async def outage_at_first(asked: Asked) -> dict[str, str]:
    return {DOWN: (await asked.token()).status}


async def hanging_at_first(asked: Asked) -> dict[str, str]:
    asked.delay = HOUR
    [answer] = await asked.get_all([bearer(asked.issuer.mint())], limit=_HANG_TIMEOUT)
    return {HANGS: answer.status}


async def outage_later(asked: Asked) -> dict[str, str]:
    await asked.token()
    await asked.issuer_down()
    known = await asked.token(jti="another")
    unknown = await asked.get(bearer(_unknown(asked.forger)))
    return {GONE: known.status, GONE_UNKNOWN: unknown.status}


def _unknown(forger: Forger) -> str:
    return forger.forge(header={"kid": uuid4().hex}, key=forger.attacker)


def _each_status(answers: Iterable[Answer]) -> str:
    return ", ".join(sorted({answer.status for answer in answers}))


class Scene(NamedTuple):
    """What a server is asked after a start of its own, and the rows that it gives."""

    ask: Callable[[Asked], Awaitable[dict[str, str]]]
    rows: Sequence[str]
    issuer_is_up: bool = True


SCENES = [
    Scene(what_it_lets_in, [*REQUESTS, IN_QUERY, *TOKENS, DIFFERENT, UNCHALLENGED]),
    Scene(unknown_kids, [UNKNOWN_KID, FLOOD]),
    Scene(rotation, [ROTATION]),
    Scene(cold_burst, [BURST, BURST_FETCHES]),
    Scene(outage_at_first, [DOWN], issuer_is_up=False),
    Scene(hanging_at_first, [HANGS]),
    Scene(outage_later, [GONE, GONE_UNKNOWN]),
]
QUESTIONS = [row for scene in SCENES for row in scene.rows]


async def column(server: Server, keys: Keys, port: int, log: Path | None = None) -> dict[str, str]:
    """Return a server's answers to all questions."""
    answers: dict[str, str] = {}
    for scene in SCENES:
        try:
            async with starting(server, keys, port, log, issuer_is_up=scene.issuer_is_up) as asked:
                answers |= await scene.ask(asked)
        except StartError:
            answers |= dict.fromkeys(scene.rows, "does not start")
    return answers


async def columns(
    installed: dict[str, Path], logs: Path | None = None, **ours: str
) -> dict[str, dict[str, str]]:
    """Return the answers of this project, and of the peers that are installed.

    `logs`: the folder for their standard errors. `ours`: variables of this project's environment.
    """
    keys = Keys(new_key(), new_key(), new_key())
    found = {}
    # Bound and not listening: while the issuer is down, its port is nobody else's.
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        for server in servers(installed, f"http://localhost:{port}/"):
            if not server.asks:
                continue
            # The speed's comparison has other times than the defaults.
            environ = {k: v for k, v in server.environ.items() if not k.startswith("JWKS_")}
            environ |= ours if server.name == OURS else {}
            log = None if logs is None else logs / f"{server.name}.log"
            found[server.name] = await column(server._replace(environ=environ), keys, port, log)
    return found


def versions(installed: Mapping[str, Path]) -> list[str]:
    """Return what is installed, by name and version."""
    found = []
    if "node" in installed:
        modules = installed["node"] / "node_modules"
        for name in _NODE:
            package = json.loads((modules / name / "package.json").read_text("utf-8"))
            found.append(f"{name} {package['version']}")
    for folder, names in _PYTHON.items():
        for name in names if folder in installed else ():
            [path] = installed[folder].glob(f"lib/*/site-packages/{name}-*.dist-info")
            found.append(path.name.removesuffix(".dist-info").replace("-", " "))
    return found


def table(found: Mapping[str, Mapping[str, str]], names: Sequence[str]) -> str:
    """Return the answers in Markdown."""
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for question in QUESTIONS:
        cells = (found.get(name, {}).get(question, "not installed") for name in names)
        lines.append(f"| {question} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Install, ask, print. Return 1 where something is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ours", action="store_true", help="this project alone; installs nothing")
    parser.add_argument("--folder", type=Path, help="where the peers are installed, and stay")
    options = parser.parse_args()
    if options.ours:
        print(table(asyncio.run(columns({})), [OURS]))
        return 0
    folder = options.folder or Path(tempfile.gettempdir()) / f"hello-aiohttp-peers-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    installed, missing = install(folder)
    print(table(asyncio.run(columns(installed, folder)), [OURS, *PEERS]))
    print(f"\n{', '.join(versions(installed))}")
    for what in missing:
        print(f"\nMISSING {what}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
