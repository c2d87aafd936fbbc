"""What does the page do about an issuer or an API that treats bound tokens in its own way?"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from hello.tokens.jwt.compact import parse
from support.bound_walk import Requests, bound, sent, state, switch
from support.logging_in import ROBIN
from support.sandbox_walk import IN_A_BROWSER, LOG_IN, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = IN_A_BROWSER

METADATA = "**/.well-known/openid-configuration"
TOKEN_ENDPOINT = "**/oauth/token"


async def changed(route: "Route", change: Callable[[dict[str, Any]], None]) -> None:
    """Answer as the issuer does, with a change."""
    answer = await route.fetch()
    members = await answer.json()
    change(members)
    await route.fulfill(response=answer, json=members)


async def test_a_nonce_of_the_api_costs_one_repetition_and_is_kept(browser: "Browser") -> None:
    async with sandbox(nonce_secret="n" * 32) as there, walking(browser, there) as walk:
        requests = await bound(walk)
        first, second = [await sent(one) for one in requests.to("/api/messages/protected")]
        assert "nonce" not in parse(first.proof or "").claims
        assert "nonce" in parse(second.proof or "").claims
        assert parse(first.proof or "").claims["jti"] != parse(second.proof or "").claims["jti"]
        await walk.page.get_by_test_id("repeated").wait_for()
        await walk.go("/admin")
        await walk.message()
        [third] = requests.to("/api/messages/admin")
        assert "nonce" in parse((await sent(third)).proof or "").claims
        assert await walk.page.get_by_test_id("repeated").count() == 0
        assert len(walk.complaints) == 1
        assert "401" in walk.complaints[0]


async def test_an_api_that_never_has_enough_of_nonces_is_asked_twice(browser: "Browser") -> None:
    async def demand(route: "Route") -> None:
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "DPoP-Nonce, WWW-Authenticate",
            "DPoP-Nonce": "another",
            "WWW-Authenticate": 'DPoP error="use_dpop_nonce"',
        }
        await route.fulfill(status=401, headers=headers, json={"message": "Bad credentials"})

    async with sandbox() as there, walking(browser, there) as walk:
        requests = await bound(walk)
        await walk.page.route("**/api/messages/admin", demand)
        await walk.go("/admin")
        await walk.alert()
        assert len(requests.to("/api/messages/admin")) == 2


async def test_a_nonce_of_the_issuer_costs_one_repetition(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        proofs = []

        async def demand(route: "Route") -> None:
            proof = (await route.request.all_headers())["dpop"]
            proofs.append(parse(proof).claims.get("nonce"))
            if proofs[-1] == "given":
                await route.continue_()
                return
            headers = {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Expose-Headers": "DPoP-Nonce",
                "DPoP-Nonce": "given",
            }
            await route.fulfill(status=400, headers=headers, json={"error": "use_dpop_nonce"})

        await walk.page.route(TOKEN_ENDPOINT, demand)
        await bound(walk)
        assert proofs == [None, "given"]


@pytest.mark.parametrize("algorithms", [None, [], ["RS256"], "ES256"])
async def test_an_issuer_that_cannot_bind_gives_bearer_tokens_and_the_page_says_so(
    walk: Walk, algorithms: object
) -> None:
    def forget(metadata: dict[str, Any]) -> None:
        metadata["dpop_signing_alg_values_supported"] = algorithms

    await walk.page.route(METADATA, lambda route: changed(route, forget))
    requests = Requests(walk)
    await walk.open()
    await switch(walk)
    await walk.go("/protected")
    await walk.choose(ROBIN)
    assert await walk.message() == await walk.api_says("/protected")
    await state(walk, "impossible")
    assert (await requests.last()).scheme == "Bearer"
    assert await requests.proofs("/oauth/token") == [None]


@pytest.mark.parametrize("kind", ["Bearer", "mac", None, ["DPoP"]])
async def test_a_token_that_is_not_bound_although_it_was_promised_is_thrown_away(
    walk: Walk, kind: object
) -> None:
    def unbind(answer: dict[str, Any]) -> None:
        answer["token_type"] = kind

    await walk.page.route(TOKEN_ENDPOINT, lambda route: changed(route, unbind))
    requests = Requests(walk)
    await walk.open()
    await switch(walk)
    await walk.go("/protected")
    await walk.choose(ROBIN)
    assert "DPoP" in await walk.alert()
    await walk.logged_out()
    assert requests.to("/api/messages/protected") == []


@pytest.mark.parametrize("kind", ["DPoP", None])
async def test_a_token_of_another_type_than_bearer_is_not_sent_as_one(
    walk: Walk, kind: str | None
) -> None:
    def change(answer: dict[str, Any]) -> None:
        answer["token_type"] = kind

    await walk.page.route(TOKEN_ENDPOINT, lambda route: changed(route, change))
    requests = Requests(walk)
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.alert()
    assert requests.to("/api/messages/protected") == []


async def test_a_login_whose_key_is_gone_is_told_in_words(walk: Walk) -> None:
    await walk.open()
    await switch(walk)
    await walk.page.locator(LOG_IN).click()
    await walk.asked_who_one_is()
    other = await walk.page.context.new_page()
    await other.goto(walk.sandbox.client)
    await other.locator("#binding-switch").click()
    await other.locator('[data-state="wanted"]').wait_for()
    await other.locator("#binding-switch").click()  # and off, which forgets the key
    await other.locator('[data-state="off"]').wait_for()
    await walk.choose(ROBIN)
    await walk.alert()
    await walk.logged_out()
    assert walk.sandbox.issuer.requests["/oauth/token"] == 0


async def test_a_proof_that_the_api_refuses_is_told_in_words(browser: "Browser") -> None:
    async def refuse(route: "Route") -> None:
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "WWW-Authenticate",
            "WWW-Authenticate": 'DPoP error="invalid_dpop_proof", algs="ES256"',
        }
        await route.fulfill(status=401, headers=headers, json={"message": "Bad credentials"})

    async with sandbox() as there, walking(browser, there) as walk:
        requests = await bound(walk)
        await walk.page.route("**/api/messages/admin", refuse)
        await walk.go("/admin")
        await walk.alert()
        assert len(requests.to("/api/messages/admin")) == 1
        assert await walk.page.get_by_test_id("thumbprint").count() == 1
        # It was not used, so nobody says what a copy of it is worth.
        assert await walk.page.get_by_test_id("replayed-answer").count() == 0


@pytest.mark.parametrize(
    ("claims", "fit"), [({"cnf": {"jkt": "x" * 43}}, "no"), ({}, "no"), (None, "unknown")]
)
async def test_a_token_that_is_not_bound_to_the_key_of_the_proof_is_told_apart(
    browser: "Browser", claims: dict[str, Any] | None, fit: str
) -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await bound(walk)

        def bind_otherwise(answer: dict[str, Any]) -> None:
            token = "opaque" if claims is None else there.issuer.mint(claims=claims)
            answer["access_token"] = token

        await walk.page.route(TOKEN_ENDPOINT, lambda route: changed(route, bind_otherwise))
        await walk.page.reload()
        await walk.alert()
        thumbprint = walk.page.get_by_test_id("thumbprint")
        assert await thumbprint.get_attribute("data-fit") == fit
        assert await walk.page.get_by_test_id("replayed-answer").count() == 0


async def test_who_sends_a_bearer_token_where_bound_ones_are_required_is_told_of_the_switch(
    browser: "Browser",
) -> None:
    async with sandbox(dpop="required") as there, walking(browser, there) as walk:
        await walk.open("/protected")
        await walk.choose(ROBIN)
        label = await walk.page.locator("label:has(#binding-switch)").inner_text()
        assert label in await walk.alert()
        await switch(walk)
        assert await walk.message()
        await state(walk, "bound")
        assert {complaint for complaint in walk.complaints if "401" not in complaint} == set()
