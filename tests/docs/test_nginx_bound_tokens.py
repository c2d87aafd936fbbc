"""Do bound tokens work behind the nginx site of hello/docs/deploying.md, as the page says?"""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from hello.app import create_app
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer, config_for
from support.certificates import client_tls, identity
from support.nginx import (
    HOST,
    NEEDS_NGINX,
    ORIGIN,
    SITE,
    Site,
    below_a_path,
    serving,
    with_certificates,
)
from support.program import PROTECTED
from support.proofs import bound_to, proof

pytestmark = NEEDS_NGINX

Start = Callable[[ApiServer], Awaitable[Client]]


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
    async with serving(tmp_path, api, below_a_path() if prefix else SITE) as site:
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


async def test_below_a_path_clients_find_the_issuer(
    tmp_path: Path, issuer: Issuer, aiohttp_client: Start
) -> None:
    public = f"https://{HOST}/v1"
    config = config_for(issuer, CLIENT_ORIGIN_URL=ORIGIN, PUBLIC_URL=public, RESOURCE_URL=public)
    api = await aiohttp_client(ApiServer(create_app(config)))
    async with serving(tmp_path, api, below_a_path()) as site:
        challenge = (await site.get(f"/v1{PROTECTED}")).headers["WWW-Authenticate"]
        [address] = set(re.findall(r'resource_metadata="https://[^/]+([^"]*)"', challenge))
        answer = await site.get(address)
        assert answer.status == 200
        assert json.loads(answer.body)["resource"] == public
        assert (await site.get(PROTECTED)).status == 404
