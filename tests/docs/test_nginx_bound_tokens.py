"""Do bound tokens work behind the nginx site of hello/docs/deploying.md, as the page says?"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from hello.app import create_app
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer, config_for
from support.certificates import client_tls, identity
from support.machine import PAGE
from support.nginx import HOST, NEEDS_NGINX, ORIGIN, SITE, Site, serving
from support.pages import example
from support.program import PROTECTED
from support.proofs import bound_to, proof

pytestmark = NEEDS_NGINX

Start = Callable[[ApiServer], Awaitable[Client]]
IN_SERVER, IN_LOCATION = example(PAGE, "nginx-certificates").split("\n\n")
LOCATION = """
    location / {
        proxy_pass http://hello_api;"""
HEADER = "        proxy_set_header Host $host;"


def with_certificates(clients: Path, verify: str = "optional") -> str:
    """The page's site with the lines for certificates."""
    assert SITE.count(HEADER) == 1
    server = IN_SERVER.replace("/etc/ssl/hello-api/clients.pem", str(clients))
    site = SITE.replace("    access_log", f"{server}\n    access_log")
    return site.replace(HEADER, f"{HEADER}\n{IN_LOCATION}").replace("optional", verify)


async def ask(site: Site, issuer: Issuer, url: str, path: str = PROTECTED) -> int:
    token = issuer.mint(claims=bound_to())
    made = proof(token, now=issuer.clock(), url=url)
    headers = {"Authorization": f"DPoP {token}", "DPoP": made}
    return (await site.get(path, headers)).status


@pytest.mark.parametrize(
    ("public_url", "prefix"),
    [(f"https://{HOST}", ""), (f"https://{HOST}/", ""), (f"https://{HOST}/v1", "/v1")],
)
async def test_proofs_name_the_address_that_clients_see(
    tmp_path: Path, issuer: Issuer, aiohttp_client: Start, public_url: str, prefix: str
) -> None:
    config = config_for(issuer, CLIENT_ORIGIN_URL=ORIGIN, PUBLIC_URL=public_url)
    api = await aiohttp_client(ApiServer(create_app(config)))
    below = LOCATION.replace("location /", f"location {prefix}/").replace("api;", "api/;")
    site_below = SITE.replace(LOCATION, below) if prefix else SITE
    async with serving(tmp_path, api, site_below) as site:
        path = f"{prefix}{PROTECTED}"
        assert await ask(site, issuer, f"https://{HOST}{path}", path) == 200
        assert await ask(site, issuer, f"https://{HOST}:443{path}?a=1", path) == 200
        assert await ask(site, issuer, f"http://{HOST}{path}", path) == 401
        assert await ask(site, issuer, f"https://{HOST}/v2{PROTECTED}", path) == 401


async def test_without_public_url_the_api_sees_another_address(
    tmp_path: Path, issuer: Issuer, aiohttp_client: Start
) -> None:
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer, CLIENT_ORIGIN_URL=ORIGIN))))
    async with serving(tmp_path, api) as site:
        assert await ask(site, issuer, f"https://{HOST}{PROTECTED}") == 401
        assert await ask(site, issuer, f"http://{HOST}{PROTECTED}") == 200


@pytest.mark.parametrize("proxies", ["127.0.0.1", "10.0.0.1", ""])
@pytest.mark.parametrize("verify", ["optional", "optional_no_ca"])
async def test_nginx_hands_the_certificate_over(
    tmp_path: Path, issuer: Issuer, aiohttp_client: Start, proxies: str, verify: str
) -> None:
    authority = identity(tmp_path, "authority")
    by = authority if verify == "optional" else None
    mine, other = (identity(tmp_path, name, by=by) for name in ("mine", "other"))
    config = config_for(issuer, CLIENT_ORIGIN_URL=ORIGIN, CLIENT_CERT_PROXIES=proxies)
    api = await aiohttp_client(ApiServer(create_app(config)))
    headers = bearer(issuer.mint(claims=mine.bound))
    forged = {**headers, "Client-Cert": quote(mine.pem)}
    async with serving(tmp_path, api, with_certificates(authority.file, verify)) as site:
        for certificate, sent, good in [
            (mine, headers, True),
            (mine, forged, True),
            (other, headers, False),
            (other, forged, False),
            (None, headers, False),
            (None, forged, False),
        ]:
            tls = client_tls(site.certificate, certificate)
            answer = await site.get(PROTECTED, sent, tls=tls)
            assert answer.status == (200 if good and proxies == "127.0.0.1" else 401)
