"""The nginx site of hello/docs/deploying.md, on ports and paths of a test."""

import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from support.api import Client
from support.certificates import client_tls, identity
from support.machine import PAGE, command
from support.pages import example
from support.program import Program, free_port, running

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or ""
NEEDS_NGINX = pytest.mark.skipif(
    not NGINX and os.environ.get("CI") != "true", reason="there is no nginx: apt-get install nginx"
)

SITE = example(PAGE, "nginx")
[HOST] = re.findall(r"server_name (.*);", SITE)
[ORIGIN] = re.findall(r"Access-Control-Allow-Origin (\S+) always", SITE)
MAIN = """
pid {folder}/nginx.pid;
worker_processes 1;
error_log stderr;
{user}
events {{ worker_connections 100; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site;
}}
"""


class Answer(NamedTuple):
    status: int
    headers: Any
    body: str


class Site:
    """The page's site on other ports and paths, before an API of the test's own."""

    program: Program

    def __init__(self, folder: Path, api_port: int, site: str) -> None:
        self.folder = folder
        self.port = free_port()
        for old, new in {
            "127.0.0.1:6060": f"127.0.0.1:{api_port}",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/etc/ssl/hello-api/fullchain.pem": f"{folder}/{HOST}.pem",
            "/etc/ssl/hello-api/privkey.pem": f"{folder}/{HOST}.pem",
            "/var/log/nginx/": f"{folder}/",
        }.items():
            assert site.count(old) == 1
            site = site.replace(old, new)
        self.site = folder / "site"
        self.site.write_text(site)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "main").write_text(MAIN.format(folder=folder, user=user))
        self.certificate = identity(folder, HOST)
        self.tls = client_tls(self.certificate)

    @property
    def command(self) -> list[str]:
        return [NGINX, "-e", "stderr", "-c", f"{self.folder}/main", "-g", "daemon off;"]

    async def get(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        *,
        origin: str = ORIGIN,
        tls: ssl.SSLContext | None = None,
        address: str = "127.0.0.2",
    ) -> Answer:
        """One request on a connection of its own, from an address that is not nginx's."""
        connector = aiohttp.TCPConnector(local_addr=(address, 0))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(
                f"https://127.0.0.1:{self.port}{path}",
                headers={"Host": HOST, "Origin": origin, **(headers or {})},
                ssl=tls or self.tls,
                server_hostname=HOST,
            ) as response,
        ):
            return Answer(response.status, response.headers, await response.text())

    def session(self) -> aiohttp.ClientSession:
        """A client for what is more than one request. It wants `ssl=tls, server_hostname=HOST`."""
        return aiohttp.ClientSession(f"https://127.0.0.1:{self.port}", headers={"Host": HOST})

    @property
    def log(self) -> list[str]:
        return (self.folder / "hello-api.log").read_text().splitlines()


def in_the_site(location: str, site: str = SITE) -> str:
    """The site with a location in front of `location /`, as the pages say."""
    assert site.count("    location / {") == 1
    return site.replace("    location / {", f"{location}\n    location / {{")


def below_a_path(site: str = SITE) -> str:
    """The site whose API is below a path, as the page has it."""
    end = site.index("    location @down")
    return (
        site[: site.index("    location / {")] + example(PAGE, "nginx-prefix") + "\n" + site[end:]
    )


def with_certificates(clients: Path, verify: str = "optional", site: str = SITE) -> str:
    """The site that asks clients for certificates, as the page has it."""
    lines = example(PAGE, "nginx-certificates").replace("optional", verify)
    lines = lines.replace("/etc/ssl/hello-api/clients.pem", str(clients))
    assert site.count("    access_log /") == 1
    return site.replace("    access_log /", f"{lines}\n    access_log /")


class Block(NamedTuple):
    """A block of a site, such as `location / {...}`: its lines, and the blocks in it."""

    name: str
    lines: list[str]
    blocks: list["Block"]


def blocks(site: str) -> Block:
    """Read a site, as far as nginx's language is used on the pages."""
    stack = [Block("", [], [])]
    for line in re.sub(r"#.*", "", site).splitlines():
        match line.strip():
            case "":
                pass
            case "}":
                stack.pop()
            case begun if begun.endswith("{"):
                stack.append(Block(begun[:-1].strip(), [], []))
                stack[-2].blocks.append(stack[-1])
            case directive:
                stack[-1].lines.append(directive)
    assert len(stack) == 1
    return stack[0]


def headers_to_the_api(site: str) -> dict[str, dict[str, str]]:
    """What each location that leads on to the API says about headers, as nginx inherits it."""
    [server] = [block for block in blocks(site).blocks if block.name == "server"]
    return {
        location.name: _headers(location) or _headers(server)
        for location in server.blocks
        if any(line.startswith("proxy_pass ") for line in location.lines)
    }


def _headers(block: Block) -> dict[str, str]:
    found = (re.fullmatch(r"proxy_set_header (\S+) (.*);", line) for line in block.lines)
    return {header[1]: header[2] for header in found if header}


@asynccontextmanager
async def serving(folder: Path, api: Client, site: str = SITE) -> AsyncIterator[Site]:
    there = Site(folder, api.port or 0, site)
    with running(command(*there.command), folder, {}) as program:
        program.listens(there.port)
        there.program = program
        yield there
    assert not re.search(r"\[(warn|alert|crit|emerg)\]", program.err)
