"""Does the sandbox's issuer bind a token to the key of a proof, and refuse every bad proof?"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT, Issuer
from support.api import AUDIENCE, Client
from support.bound_tokens import ask, proving, redeeming, refreshing
from support.clock import FakeClock
from support.logging_in import claims_of, log_in
from support.proofs import CLIENT_KEY, bound_to, public
from support.token_endpoint import ASKED, basic

OTHER = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)


async def introspected(client: Client, token: str) -> dict[str, Any]:
    headers = basic(CLIENT_ID, CLIENT_SECRET)
    async with client.post("/oauth/introspect", data={"token": token}, headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def is_bound(client: Client, answer: Mapping[str, Any], key: Any = CLIENT_KEY) -> bool:
    """Whether everything that is said about an access token says that it is bound to a key."""
    said = await introspected(client, answer["access_token"])
    assert said["active"]
    assert answer["token_type"] == said["token_type"]
    signed = claims_of(answer["access_token"]) if "." in answer["access_token"] else said
    assert signed.get("cnf") == said.get("cnf")
    if answer["token_type"] == "Bearer":
        assert "cnf" not in said
        return False
    assert answer["token_type"] == "DPoP"
    return {"cnf": said["cnf"]} == bound_to(key)


@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_a_client_gets_a_token_that_is_bound_to_its_key(
    browser: Client, own: Issuer, audience: str | None
) -> None:
    form = {**ASKED, "audience": audience or ""}
    status, answer = await ask(browser, form, proving(own))
    assert status == 200
    assert await is_bound(browser, answer)
    _, answer = await ask(browser, form)
    assert not await is_bound(browser, answer)


@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_a_person_gets_a_token_that_is_bound_to_the_clients_key(
    browser: Client, own: Issuer, audience: str | None
) -> None:
    code = await log_in(browser, audience=audience)
    status, answer = await ask(browser, redeeming(code), proving(own))
    assert status == 200
    assert await is_bound(browser, answer)
    assert "cnf" not in claims_of(answer["id_token"])


@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_a_renewed_token_is_bound_to_the_same_key(
    browser: Client, own: Issuer, audience: str | None
) -> None:
    code = await log_in(browser, audience=audience, scope="offline_access")
    _, first = await ask(browser, redeeming(code), proving(own))
    status, second = await ask(browser, refreshing(first), proving(own))
    assert status == 200
    assert await is_bound(browser, second)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", CLIENT_KEY),
        ("RS256", RSA),
        ("PS256", RSA),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
    ],
)
async def test_the_metadata_says_how_a_proof_may_be_signed(
    browser: Client, own: Issuer, algorithm: str, key: Any
) -> None:
    async with browser.get("/.well-known/openid-configuration") as response:
        accepted = (await response.json())["dpop_signing_alg_values_supported"]
    assert algorithm in accepted
    assert not [name for name in accepted if name == "none" or name.startswith("HS")]
    _, answer = await ask(browser, ASKED, proving(own, {"alg": algorithm}, key=key))
    assert await is_bound(browser, answer, key)


HOSTILE: dict[str, Callable[[Issuer], list[str]]] = {
    "empty": lambda _: [""],
    "no JWT": lambda _: ["proof"],
    "bytes that are no ASCII": lambda _: ["é.é.é"],
    "two": lambda own: [proving(own), proving(own)],
    "a good and an empty one": lambda own: [proving(own), ""],
    "two in one header": lambda own: [f"{proving(own)}, {proving(own)}"],
    "typ JWT": lambda own: [proving(own, {"typ": "JWT"})],
    "crit": lambda own: [proving(own, {"crit": ["exp"]})],
    "alg none": lambda own: [proving(own, {"alg": "none"})],
    "alg HS256": lambda own: [proving(own, {"alg": "HS256"}, key=OctKey.generate_key(256))],
    "alg that is not on the list": lambda own: [proving(own, {"alg": "RS512"}, key=RSA)],
    "no jwk": lambda own: [proving(own, {"jwk": OMIT})],
    "a private jwk": lambda own: [proving(own, {"jwk": CLIENT_KEY.as_dict(private=True)})],
    "the jwk of somebody else": lambda own: [proving(own, {"jwk": public(OTHER)})],
    "a jwk that says a quote": lambda own: [proving(own, {"jwk": {"kty": '"\\\r\n'}})],
    "no signature": lambda own: [proving(own).rpartition(".")[0] + "."],
    "no jti": lambda own: [proving(own, jti=OMIT)],
    "a long jti": lambda own: [proving(own, jti="j" * 1025)],
    "htm GET": lambda own: [proving(own, htm="GET")],
    "no htm": lambda own: [proving(own, htm=OMIT)],
    "the htu of the API": lambda own: [proving(own, htu=AUDIENCE)],
    "the htu of the issuer": lambda own: [proving(own, htu=own.url)],
    "the htu of userinfo": lambda own: [proving(own, htu=f"{own.url}userinfo")],
    "no htu": lambda own: [proving(own, htu=OMIT)],
    "an old iat": lambda own: [proving(own, iat=own.clock() - 301)],
    "an iat in the future": lambda own: [proving(own, iat=own.clock() + 31)],
    "no iat": lambda own: [proving(own, iat=OMIT)],
    "a nonce that is no text": lambda own: [proving(own, nonce=1)],
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
async def test_a_bad_proof_is_refused_and_uses_nothing_up(
    browser: Client, own: Issuer, make: Callable[[Issuer], list[str]]
) -> None:
    _, first = await ask(browser, redeeming(await log_in(browser, scope="offline_access")))
    code = await log_in(browser, prompt="login")
    for form in (ASKED, redeeming(code), refreshing(first)):
        status, answer = await ask(browser, form, *make(own))
        assert (status, answer["error"]) == (400, "invalid_dpop_proof")
        assert answer.keys() == {"error", "error_description"}
        # RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E
        assert answer["error_description"].isascii()
        assert answer["error_description"].isprintable()
        assert not set(answer["error_description"]) & set('"\\')
    for form in (redeeming(code), refreshing(first)):
        status, answer = await ask(browser, form, proving(own))
        assert status == 200
        assert await is_bound(browser, answer)


@pytest.mark.parametrize(
    "changes",
    [
        {"ath": "of no token"},  # §4.3: it counts where there is an access token
        {"iat": 1_800_000_000 - 300},
        {"iat": 1_800_000_000 + 30},
        {"jti": "\ud800"},
        {"nonce": "of another server"},
    ],
    ids=str,
)
async def test_good_proofs(browser: Client, own: Issuer, changes: dict[str, Any]) -> None:
    status, answer = await ask(browser, ASKED, proving(own, **changes))
    assert status == 200
    assert await is_bound(browser, answer)


async def test_a_proof_is_good_once(browser: Client, own: Issuer, clock: FakeClock) -> None:
    """With whichever request, and for as long as it is good at all."""
    code = await log_in(browser)
    text = proving(own, iat=clock.epoch + 30)
    assert (await ask(browser, ASKED, text))[0] == 200
    assert (await ask(browser, redeeming(code), text))[1]["error"] == "invalid_dpop_proof"
    assert (await ask(browser, redeeming(code), proving(own)))[0] == 200
    clock.advance(330)
    assert (await ask(browser, ASKED, text))[1]["error"] == "invalid_dpop_proof"


async def test_the_same_jti_of_another_key_is_another_proof(browser: Client, own: Issuer) -> None:
    assert (await ask(browser, ASKED, proving(own, jti="1")))[0] == 200
    assert (await ask(browser, ASKED, proving(own, jti="1", key=OTHER)))[0] == 200
    assert (await ask(browser, ASKED, proving(own, jti="1")))[0] == 400


async def test_a_proof_is_refused_if_it_is_unknown_whether_it_is_new(
    browser: Client, own: Issuer, clock: FakeClock
) -> None:
    """After the clock was set back: the proofs of that time are forgotten."""
    clock.advance(600)
    assert (await ask(browser, ASKED, proving(own)))[0] == 200
    clock.advance(-600)
    status, answer = await ask(browser, ASKED, proving(own))
    assert (status, answer["error"]) == (400, "invalid_dpop_proof")


async def test_a_proof_is_looked_at_before_the_client(browser: Client, own: Issuer) -> None:
    """So that a bad one uses up no assertion of a client."""
    wrong = {**ASKED, "client_secret": "wrong"}
    assert (await ask(browser, wrong, "proof"))[1]["error"] == "invalid_dpop_proof"
    assert (await ask(browser, wrong, proving(own)))[1]["error"] == "invalid_client"
