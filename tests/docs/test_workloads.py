"""Are the ways to the keys as the pages say: a cluster's own, certificates, one set for all?"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import Key

from hello import auth
from support.api import ApiServer, Client
from support.pages import example
from support.providers.apps import certificates
from support.providers.every import PROVIDERS, answered, app_of, published, shown, verdict_of
from support.providers.microsoft import of_tenant
from support.providers.sending import Sent, settings, with_key
from support.providers.serving import cluster, serving

Serve = Callable[[ApiServer], Awaitable[Client]]
Provided = Callable[[str], Awaitable[Sent]]


async def test_the_pod_s_token_goes_to_the_cluster_alone(provider: Provided) -> None:
    names: dict[str, Any] = {}
    exec(compile((await provider("kubernetes")).code, "page", "exec"), names)
    assert b'"keys"' in await names["fetch"](names["KEYS"])
    with pytest.raises(auth.FetchError):
        await names["fetch"](f"{names['KEYS']}/elsewhere")


async def test_the_pod_s_token_is_read_each_time(provider: Provided, tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile((await provider("kubernetes")).code, "page", "exec"), names)
    (tmp_path / "token").write_text("an-older-token")
    with pytest.raises(auth.FetchError, match="401"):
        await names["fetch"](names["KEYS"])


@pytest.mark.parametrize("trouble", ["another authority", "nobody there"])
async def test_a_cluster_that_cannot_be_asked_is_an_outage(
    provider: Provided,
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    trouble: str,
) -> None:
    """With a line in the log that says why, and no stack."""
    sent = await provider("kubernetes")
    if trouble == "another authority":
        (tmp_path / "other").mkdir()
        async with cluster("/", {}, tmp_path / "other"):
            (tmp_path / "ca.crt").write_bytes((tmp_path / "other" / "ca.crt").read_bytes())
    else:
        async with serving("/", {}) as gone:
            pass
        [url] = re.findall(r'KEYS = "(.+)"', sent.code)
        sent = settings(url, f"{gone.url}jwks")(sent)
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == 503
    assert not [each for each in caplog.records if each.exc_info]


async def test_fifty_tenants_share_one_fetch(
    keys: list[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = [f"8f1c2d3e-0a1b-4c2d-8e3f-{number:012}" for number in range(50)]
    asked: list[str] = []
    sent = shown("entra-tenants", keys[0])
    fetch = published("entra-tenants", sent.claims["iss"], keys[0])

    async def counted(url: str) -> bytes:
        asked.append(url)
        return await fetch(url)

    monkeypatch.setattr("hello.tokens.validator.fetch_with_aiohttp", counted)
    names: dict[str, Any] = {}
    exec(compile(sent.code, "page", "exec"), names)
    names["TENANTS"].update(dict.fromkeys(tenants, "a customer"))
    validator = names["create_app"]()[auth.TOKEN_VALIDATOR]
    assert {await verdict_of(validator, of_tenant(each)(sent)) for each in tenants} == {"valid"}
    assert asked == [PROVIDERS["entra-tenants"].keys_at]
    await validator.close()


def test_the_placeholder_of_many_tenants_is_refused_with_what_to_write() -> None:
    issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
    with pytest.raises(ValueError, match="resolver"):
        auth.TrustedIssuer(issuer=issuer, audience="api")


async def test_firebase_s_mapping_can_be_given_as_it_is(keys: list[Key]) -> None:
    sent = shown("firebase", keys[0])
    trusted = auth.TrustedIssuer(
        issuer=sent.claims["iss"], audience="hello-123456", keys=certificates(keys[0])
    )
    validator = auth.TokenValidator(issuers=[trusted])
    assert await verdict_of(validator, sent) == "valid"
    assert await verdict_of(validator, with_key(lambda: keys[1])(sent)) == "unknown_key"


def test_the_parts_of_firebase_s_addresses_make_one() -> None:
    """They are written in two lines on the page."""
    for name in ("firebase", "firebase-certificates"):
        code = example(PROVIDERS[name].page, f"{name}-app")
        found = re.findall(r'jwks_uri=\(\s*"(.+)"\s*"(.+)"\s*\)', code)
        assert ["".join(parts) for parts in found] == [PROVIDERS[name].keys_at]


async def test_supabase_s_key_needs_no_secret_after_the_move(
    keys: list[Key],
) -> None:
    sent, supabase = shown("supabase", keys[0]), PROVIDERS["supabase"]
    trusted = auth.TrustedIssuer(
        issuer=sent.claims["iss"],
        audience="authenticated",
        jwks_uri=supabase.keys_at,
        algorithms=["ES256"],
    )
    fetch = published("supabase", sent.claims["iss"], keys[0])
    validator = auth.TokenValidator(issuers=[trusted], fetch=fetch)
    assert await verdict_of(validator, sent) == "valid"
    assert await verdict_of(validator, supabase.sent["secret"](sent)) == "algorithm"
    await validator.close()
