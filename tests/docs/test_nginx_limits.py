"""Does nginx limit addresses as hello/docs/streams-and-limits.md says, before the running API?"""

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from hello.app import create_app
from hello.auth import json_error
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer, config_for
from support.nginx import NEEDS_NGINX, ORIGIN, SITE, Site, serving
from support.pages import example
from support.program import PROTECTED, PUBLIC
from support.sockets import app_with

pytestmark = NEEDS_NGINX

PAGE = "hello/docs/streams-and-limits.md"
ZONES, LOCATION, ANSWER = (
    example(PAGE, f"limit-{part}") for part in ("zones", "location", "answer")
)
OFFICE = "198.51.100.7"
NETWORK = "2001:db8:1"  # of an office, too
CLIENT = "X-Test-Client"
REAL_IP = f"    set_real_ip_from 127.0.0.0/8;\n    real_ip_header {CLIENT};\n"
ONCE_A_MINUTE = {"rate=50r/s": "rate=1r/m", "rate=500r/s": "rate=1r/m", "burst=100 ": "burst=1 "}


def limited(replaced: dict[str, str] | None = None) -> str:
    """The page's site with its limits; a header names the address in a test."""
    code = SITE
    for before, added in (
        ("server {\n    listen", f"{ZONES}\nserver {{\n    listen"),
        ("    location / {\n", f"{REAL_IP}    location / {{\n{LOCATION}"),
        ("    location @down", f"{ANSWER}\n    location @down"),
    ):
        assert code.count(before) == 1
        code = code.replace(before, added)
    for old, new in (replaced or {}).items():
        assert code.count(old) == 1
        code = code.replace(old, new)
    return code


@pytest.fixture
async def api(issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]) -> Client:
    return await aiohttp_client(ApiServer(create_app(config_for(issuer, CLIENT_ORIGIN_URL=ORIGIN))))


async def statuses(site: Site, address: str, number: int, path: str = PUBLIC) -> list[int]:
    return [(await site.get(path, {CLIENT: address})).status for _ in range(number)]


def test_nginx_has_nothing_to_say_about_the_limits(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*Site(tmp_path, 9, limited()).command, "-t"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0
    assert not [line for line in ran.stderr.splitlines() if "[" in line]


async def test_who_asks_too_often_gets_an_answer_in_the_form_of_the_api(
    tmp_path: Path, api: Client, issuer: Issuer
) -> None:
    """Before the API sees the request, and with whatever token. Others do not notice."""
    async with serving(tmp_path, api, limited(ONCE_A_MINUTE)) as site:
        forged = {**bearer("forged"), CLIENT: "192.0.2.1"}
        for _ in range(2):
            assert (await site.get(PROTECTED, forged)).status == 401
        honest = {**bearer(issuer.mint()), CLIENT: "192.0.2.1"}
        for headers in (forged, honest):
            answer = await site.get(PROTECTED, headers)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert answer.body == '{"message": "Too Many Requests"}'
            assert answer.headers.getall("Content-Type") == ["application/json; charset=utf-8"]
            assert answer.headers.getall("Access-Control-Allow-Origin") == [ORIGIN]
            assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
        honest[CLIENT] = "192.0.2.2"
        assert (await site.get(PROTECTED, honest)).status == 200
        site.program.until(lambda: len(site.log) == 5)
        assert [line.split()[4] for line in site.log] == ["401", "401", "429", "429", "200"]
        assert "limiting requests" not in site.program.err


@pytest.mark.parametrize("address", [OFFICE, f"{NETWORK}::7"])
async def test_an_address_that_many_share_has_a_limit_of_its_own(
    tmp_path: Path, api: Client, address: str
) -> None:
    few = {**ONCE_A_MINUTE, "burst=1000 ": "burst=4 "}
    async with serving(tmp_path, api, limited(few)) as site:
        assert await statuses(site, address, 7) == [200] * 5 + [429] * 2
        assert await statuses(site, "192.0.2.1", 3) == [200] * 2 + [429]


async def test_the_addresses_of_one_half_are_one_client(tmp_path: Path, api: Client) -> None:
    async with serving(tmp_path, api, limited(ONCE_A_MINUTE)) as site:
        same = ["2001:db8:2::1", "2001:db8:2::2", "2001:db8:2:0:ffff:ffff:0a0a:1"]
        assert [(await statuses(site, each, 1))[0] for each in same] == [200, 200, 429]
        assert await statuses(site, "2001:db8:2:1::1", 1) == [200]


async def test_a_trial_refuses_nobody_and_says_in_the_log_who_would_be(
    tmp_path: Path, api: Client
) -> None:
    trial = {
        **ONCE_A_MINUTE,
        "limit_req_status 429;": "limit_req_status 429;\nlimit_req_dry_run on;",
        "$request_time $upstream_addr": "$request_time $upstream_addr $limit_req_status",
    }
    async with serving(tmp_path, api, limited(trial)) as site:
        assert await statuses(site, "192.0.2.1", 3) == [200] * 3
        site.program.until(lambda: len(site.log) == 3)
        assert [line.split()[-2] for line in site.log] == ["PASSED", "PASSED", "REJECTED_DRY_RUN"]


async def test_a_client_cannot_choose_its_address_without_a_trusted_load_balancer(
    tmp_path: Path, api: Client
) -> None:
    async with serving(tmp_path, api, limited({**ONCE_A_MINUTE, REAL_IP: ""})) as site:
        assert [(await statuses(site, f"192.0.2.{i}", 1))[0] for i in range(3)] == [200, 200, 429]


async def test_a_429_of_the_application_is_passed_on(
    tmp_path: Path, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    async def busy(_request: web.Request) -> web.Response:
        return json_error(429, "Not so fast", {"Retry-After": "7"})

    own = await aiohttp_client(ApiServer(app_with(busy)))
    async with serving(tmp_path, own, limited()) as site:
        answer = await site.get("/")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert answer.body == '{"message": "Not so fast"}'
