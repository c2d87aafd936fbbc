"""How is the sandbox's token endpoint asked with a proof?"""

from collections.abc import Mapping
from typing import Any

from hello.sandbox.issuer import OMIT, Issuer
from support.api import Client
from support.logging_in import CALLBACK, VERIFIER
from support.proofs import proof
from support.token_endpoint import TOKEN


def proving(own: Issuer, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """A proof for a request for tokens, with changes."""
    usual = {"htm": "POST", "ath": OMIT, **changes}
    return proof("", now=own.clock(), url=f"{own.url}oauth/token", header=header, **usual)


async def ask(
    client: Client, form: Mapping[str, str], *proofs: str, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Ask for tokens, and return the status and the answer."""
    sent = [*(("DPoP", each) for each in proofs), *headers.items()]
    async with client.post(TOKEN, data=form, headers=sent) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json()


def redeeming(code: str, **changes: str) -> dict[str, str]:
    """The form that a code is redeemed with."""
    return {
        "grant_type": "authorization_code",
        "client_id": "demo",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": CALLBACK,
        **changes,
    }


def refreshing(answer: Mapping[str, Any], **changes: str) -> dict[str, str]:
    """The form that asks for new tokens with the refresh token of an answer."""
    return {
        "grant_type": "refresh_token",
        "client_id": "demo",
        "refresh_token": answer["refresh_token"],
        **changes,
    }
