"""Can a client claim anything by a header where an nginx recipe of the pages leads to the API?"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.certificates import client_tls, identity
from support.nginx import (
    NEEDS_NGINX,
    SITE,
    below_a_path,
    headers_to_the_api,
    in_the_site,
    serving,
    with_certificates,
)
from support.pages import PAGES, example, fences

SAFE = {
    "Host": "$host",
    "X-Forwarded-For": "$remote_addr",
    "Forwarded": '""',
    "Client-Cert": "$ssl_client_escaped_cert",
}
FEED = example("hello/docs/streams-and-limits.md", "websocket-location")
HEALTH = example("hello/docs/health-and-metrics.md", "nginx-health")
# Each recipe in its site, with the paths of its locations.
SITES = {
    "site": (SITE, ["/"]),
    "prefix": (below_a_path(), ["/v1/", "/.well-known/oauth-protected-resource/v1"]),
    "websocket": (in_the_site(FEED), ["/feed", "/"]),
    "health": (in_the_site(HEALTH), ["/livez", "/readyz", "/"]),
}


def test_there_is_no_other_recipe_that_leads_to_the_api() -> None:
    on_pages = [code for page in PAGES for language, code in fences(page) if language == "nginx"]
    tested = [SITE, example("hello/docs/deploying.md", "nginx-prefix"), FEED, HEALTH]
    assert len(on_pages) > len(tested)
    for code in on_pages:
        assert (code in tested) is ("proxy_" in code), code


@pytest.mark.parametrize("name", SITES)
def test_each_location_replaces_what_a_client_could_claim(name: str) -> None:
    found = headers_to_the_api(SITES[name][0])
    assert found
    for headers in found.values():
        assert {header: headers.get(header) for header in SAFE} == SAFE


def test_a_location_with_a_header_of_its_own_inherits_none() -> None:
    other = in_the_site(
        "    location /x {\nproxy_pass http://hello_api;\nproxy_set_header A b;\n}\n"
    )
    assert headers_to_the_api(other)["location /x"] == {"A": "b"}


async def hands_on(request: web.Request) -> web.Response:
    """What the application behind nginx gets of what a client could claim."""
    claimed = ("X-Forwarded-For", "Forwarded", "Client-Cert")
    return web.json_response({name: request.headers.getall(name, []) for name in claimed})


@pytest.fixture
async def api(issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]) -> Client:
    """An application on all paths of the recipes, for tokens that are bound to a certificate."""
    app = web.Application()
    auth.setup(
        app,
        auth.TokenValidator(issuer=issuer.url, audience=issuer.audience),
        client_certificate=auth.CertificateHeader(proxies=["127.0.0.1"]),
    )
    app.router.add_get("/{path:.*}", auth.protected(hands_on))
    return await aiohttp_client(ApiServer(app))


@NEEDS_NGINX
@pytest.mark.parametrize("name", SITES)
async def test_who_copies_a_token_and_its_certificate_gets_in_nowhere(
    tmp_path: Path, api: Client, issuer: Issuer, name: str
) -> None:
    authority = identity(tmp_path, "authority")
    mine, thiefs = (identity(tmp_path, name, by=authority) for name in ("mine", "thiefs"))
    copied = {
        **bearer(issuer.mint(claims=mine.bound)),
        "Client-Cert": quote(mine.pem),
        "X-Forwarded-For": "192.0.2.66",
        "Forwarded": "for=192.0.2.66",
    }
    site, paths = SITES[name]
    async with serving(tmp_path, api, with_certificates(authority.file, site=site)) as there:
        for path in paths:
            for certificate, status in ((None, 401), (thiefs, 401), (mine, 200)):
                tls = client_tls(there.certificate, certificate)
                answer = await there.get(path, copied, tls=tls)
                assert (path, answer.status) == (path, status)
            received = json.loads(answer.body)
            assert received["X-Forwarded-For"] == ["127.0.0.2"]
            assert received["Forwarded"] == []


@NEEDS_NGINX
async def test_without_the_line_they_would_get_in(
    tmp_path: Path, api: Client, issuer: Issuer
) -> None:
    """Which is what the page warns of."""
    mine = identity(tmp_path, "mine")
    line = f"    proxy_set_header Client-Cert {SAFE['Client-Cert']};\n"
    assert FEED.count(line) == 1
    site = with_certificates(mine.file, site=in_the_site(FEED.replace(line, "")))
    copied = {**bearer(issuer.mint(claims=mine.bound)), "Client-Cert": quote(mine.pem)}
    async with serving(tmp_path, api, site) as there:
        assert (await there.get("/feed", copied)).status == 200
        assert (await there.get("/", copied)).status == 401
