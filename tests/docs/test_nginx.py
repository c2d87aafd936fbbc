"""Does the nginx site of hello/docs/deploying.md do what the page says, before the running API?"""

import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import web
from joserfc.jwk import Key

from hello.app import create_app
from hello.auth.explaining import _MAX_FIELD_SIZE
from support.api import SECURITY_HEADERS, ApiServer, Client, bearer, config_for
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer
from support.nginx import HOST, NEEDS_NGINX, ORIGIN, SITE, Site, serving
from support.pages import rows
from support.program import PROTECTED, PUBLIC

pytestmark = NEEDS_NGINX

OWN_PAGE = "hello/docs/serving-your-own.md"
CORS = "Access-Control-Allow-Origin"
LONGEST = 8183


@pytest.fixture
async def issuer(keys: list[Key]) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], FakeClock()) as issuer:
        issuer.clock = lambda: datetime.now(UTC).timestamp()
        yield issuer


@pytest.fixture
async def api(
    issuer: FailingIssuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> Client:
    config = config_for(issuer, CLIENT_ORIGIN_URL=ORIGIN)
    return await aiohttp_client(ApiServer(create_app(config)))


@pytest.fixture
async def site(tmp_path: Path, api: Client) -> AsyncIterator[Site]:
    async with serving(tmp_path, api) as site:
        yield site


def test_nginx_has_nothing_to_say_about_the_site(tmp_path: Path) -> None:
    for code, status in [(SITE, 0), (SITE.replace("keepalive 32", "keepaliv 32"), 1)]:
        site = Site(tmp_path, 9, code)
        ran = subprocess.run(
            [*site.command, "-t"], check=False, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == status
        complaints = [line for line in ran.stderr.splitlines() if "[" in line]
        assert bool(complaints) is (status != 0)


async def test_answers_come_through_as_they_are(site: Site, issuer: FailingIssuer) -> None:
    for path, headers, status in [
        (PUBLIC, {}, 200),
        (PROTECTED, {}, 401),
        (PROTECTED, bearer("nonsense"), 401),
        (PROTECTED, bearer(issuer.mint()), 200),
        ("/nowhere", {}, 404),
    ]:
        answer = await site.get(path, headers)
        assert answer.status == status
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert answer.headers.getall(CORS) == [ORIGIN]
        assert ("WWW-Authenticate" in answer.headers) is (status == 401)
        assert answer.headers["Server"] == "nginx"
    foreign = await site.get(PUBLIC, origin="https://elsewhere.example.com")
    assert CORS not in foreign.headers


@pytest.mark.parametrize(
    ("length", "status", "who"),
    [
        (7 * 1024, 401, "API"),
        (LONGEST, 401, "API"),
        (LONGEST + 1, 400, "API"),
        (17_000, 400, "nginx"),
    ],
)
async def test_a_large_token_is_the_apis_to_judge(
    site: Site, length: int, status: int, who: str
) -> None:
    answer = await site.get(PROTECTED, bearer("x" * length))
    assert answer.status == status
    assert ("json" in answer.headers["Content-Type"]) is (who == "API")
    assert (CORS in answer.headers) is (status == 401)


def test_the_limit_is_the_one_that_is_explained() -> None:
    assert _MAX_FIELD_SIZE - len("Bearer ") == LONGEST


async def test_nginxs_default_is_a_few_bytes_too_few(tmp_path: Path, api: Client) -> None:
    default = re.sub(r" *large_client_header_buffers.*\n", "", SITE)
    assert default != SITE
    async with serving(tmp_path, api, default) as site:
        for length, status in [(LONGEST, 400), (LONGEST - 50, 401)]:
            answer = await site.get(PROTECTED, bearer("x" * length))
            assert answer.status == status


async def test_an_outage_of_the_issuer_is_told_by_the_api_and_health_goes_on(
    site: Site, issuer: FailingIssuer
) -> None:
    await issuer.stop()
    answer = await site.get(PROTECTED, bearer(issuer.mint()))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.body == '{"message": "Unable to verify credentials"}'
    assert answer.headers[CORS] == ORIGIN
    assert (await site.get(PUBLIC)).status == 200


async def test_while_the_api_is_down_a_browser_can_read_that_it_is(site: Site, api: Client) -> None:
    await api.close()
    answer = await site.get(f"{PROTECTED}?a=query", bearer("nonsense"))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert answer.body == '{"message": "Service Unavailable"}'
    assert answer.headers.getall("Content-Type") == ["application/json; charset=utf-8"]
    assert answer.headers.getall(CORS) == [ORIGIN]
    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
    site.program.says(f'request: "GET {PROTECTED}?a=query HTTP/1.1"')  # in its error log
    assert "nonsense" not in site.program.err


async def test_connections_to_the_api_are_kept(site: Site, api: Client) -> None:
    for _ in range(5):
        await site.get(PUBLIC)
    runner = api.server.runner
    assert runner is not None
    assert runner.server is not None
    assert len(runner.server.connections) == 1


async def test_logs_name_the_client_once_and_never_a_query_or_a_token(
    site: Site, api: Client, caplog: pytest.LogCaptureFixture
) -> None:
    port = api.port
    with caplog.at_level("INFO"):
        await site.get(f"{PROTECTED}?access_token=secret", bearer("secret"))
        await api.close()  # the line is written after the answer is sent
    [access] = [record for record in caplog.records if record.name == "hello.access"]
    assert access.getMessage().startswith(f"127.0.0.1 GET {PROTECTED} 401 ")
    site.program.until(lambda: len(site.log) > 0)
    [line] = site.log
    assert re.fullmatch(
        rf"127\.0\.0\.2 \S+ GET {PROTECTED} 401 [\d.]+ 127\.0\.0\.1:{port} [0-9a-f]{{32}}", line
    )
    assert "secret" not in caplog.text + line


# --- Before an application of one's own ----------------------------------------------------------


async def taking(request: web.Request) -> web.Response:
    return web.json_response({"bytes": len(await request.read())})


@pytest.fixture
async def own(aiohttp_client: Callable[[ApiServer], Awaitable[Client]]) -> Client:
    """An application that takes large bodies."""
    app = web.Application()
    app.router.add_post("/large", taking)
    return await aiohttp_client(ApiServer(app))


@pytest.mark.parametrize(
    ("limit", "size", "status", "who"),
    [
        ("16k", 16 << 10, 200, "API"),
        ("16k", (16 << 10) + 1, 413, "nginx"),
        ("2m", 1 << 20, 200, "API"),
        ("2m", (1 << 20) + 1, 413, "API"),
    ],
)
async def test_what_is_too_large_is_for_nginx_and_then_for_aiohttp_to_say(
    tmp_path: Path, own: Client, limit: str, size: int, status: int, who: str
) -> None:
    code = SITE.replace("client_max_body_size 16k", f"client_max_body_size {limit}")
    async with (
        serving(tmp_path, own, code) as site,
        site.session() as session,
        session.post(
            "/large", data=BytesIO(bytes(size)), ssl=site.tls, server_hostname=HOST
        ) as response,
    ):
        body = await response.text()
        assert response.status == status
        assert ("<center>nginx</center>" in body) is (who == "nginx")


def test_what_is_different_for_an_application_of_ones_own_is_in_the_site() -> None:
    for there, *_ in rows(OWN_PAGE, "nginx-changes"):
        assert SITE.count(there.strip("`")) == 1
