"""What does a client ask for when it sends a browser to log in?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .oauth import OAuthError, audience_of

# A SHA-256 in base64url: a code_challenge (RFC 7636 §4.2), or a dpop_jkt (RFC 9449 §10).
_SHA256 = re.compile(r"[A-Za-z0-9_-]{43}")
_ORGANIZATION = re.compile(r"[A-Za-z0-9_-]{1,50}")
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What a client asks for, and where to send the answer."""

    client_id: str
    redirect_uri: str
    response_mode: str
    state: str | None
    scopes: frozenset[str]
    audience: str | None
    organization: str | None
    nonce: str | None
    code_challenge: str
    dpop_jkt: str | None
    prompts: frozenset[str]
    max_age: int | None


def authorization_request(
    parameters: Mapping[str, str],
    *,
    client_id: str,
    redirect_uri: str,
    audiences: Mapping[str, str],
    pages_origin: str,
    is_page: bool,
) -> AuthorizationRequest:
    """Read an authorization request, whose client is known to be at its `redirect_uri`.

    `audiences` are those that tokens can be asked for. `is_page` says that the `redirect_uri` is
    one of the pages at `pages_origin`. Raises OAuthError.
    """
    prompts = frozenset(parameters.get("prompt", "").split())
    max_age = parameters.get("max_age")
    dpop_jkt = parameters.get("dpop_jkt")
    organization = parameters.get("organization")
    for wrong, error, description in (
        # OpenID Connect Core 1.0 §6: what they name or hold may differ from what is read here.
        ("request" in parameters, "request_not_supported", "request is not read here"),
        (
            "request_uri" in parameters,
            "request_uri_not_supported",
            "request_uri is not read here",
        ),
        ("response_type" not in parameters, "invalid_request", "response_type is missing"),
        (
            parameters.get("response_type") != "code",
            "unsupported_response_type",
            "response_type must be code",
        ),
        (
            parameters.get("response_mode", "query") not in ("query", "web_message"),
            "invalid_request",
            "response_mode must be query or web_message",
        ),
        (
            parameters.get("response_mode") == "web_message" and not is_page,
            "invalid_request",
            f"only pages of {pages_origin} are answered by web_message",
        ),
        (
            parameters.get("code_challenge_method") != "S256"
            or not _SHA256.fullmatch(parameters.get("code_challenge", "")),
            "invalid_request",
            "PKCE is required: code_challenge_method=S256 and its code_challenge",
        ),
        (
            dpop_jkt is not None and not _SHA256.fullmatch(dpop_jkt),
            "invalid_request",
            "dpop_jkt must be the SHA-256 thumbprint of a key",
        ),
        (
            organization is not None and not _ORGANIZATION.fullmatch(organization),
            "invalid_request",
            "organization must be an identifier, such as org_1",
        ),
        (
            not prompts <= _PROMPTS or ("none" in prompts and len(prompts) > 1),
            "invalid_request",
            "prompt must be none, or a list of login, consent and select_account",
        ),
        (
            max_age is not None and not re.fullmatch(r"[0-9]{1,9}", max_age),
            "invalid_request",
            "max_age must be a number of seconds",
        ),
    ):
        if wrong:
            raise OAuthError(error, description)
    return AuthorizationRequest(
        client_id=client_id,
        redirect_uri=redirect_uri,
        response_mode=parameters.get("response_mode", "query"),
        state=parameters.get("state"),
        scopes=frozenset(parameters.get("scope", "").split()),
        audience=audience_of(parameters, audiences),
        organization=organization,
        nonce=parameters.get("nonce"),
        code_challenge=parameters["code_challenge"],
        dpop_jkt=dpop_jkt,
        prompts=prompts,
        max_age=None if max_age is None else int(max_age),
    )
