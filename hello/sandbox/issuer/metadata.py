"""What does the issuer tell clients about itself?"""

from collections.abc import Collection
from typing import Any

from .clients.authentication import ASSERTION_ALGORITHMS
from .clients.registration import PATH as REGISTRATION_PATH
from .proofs import PROOF_ALGORITHMS

_CLIENT_AUTHENTICATION = ("client_secret_post", "client_secret_basic", "private_key_jwt")
_CLAIMS = (  # of ID tokens, and of what userinfo answers
    *("iss", "sub", "aud", "iat", "exp", "jti", "nonce", "sid", "auth_time"),
    *("name", "nickname", "email", "email_verified", "org_id"),
)


def metadata_of(url: str, *, scopes: Collection[str], registration: bool) -> dict[str, Any]:
    """Return the members of OpenID Connect Discovery 1.0 §3 and RFC 8414 §2."""
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}authorize",
        "token_endpoint": f"{url}oauth/token",
        "revocation_endpoint": f"{url}oauth/revoke",
        "introspection_endpoint": f"{url}oauth/introspect",
        "userinfo_endpoint": f"{url}userinfo",
        "end_session_endpoint": f"{url}oidc/logout",
        **({"registration_endpoint": f"{url}{REGISTRATION_PATH}"} if registration else {}),
        "jwks_uri": f"{url}.well-known/jwks.json",
        "scopes_supported": sorted(scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "web_message"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "authorization_response_iss_parameter_supported": True,
        "code_challenge_methods_supported": ["S256"],
        **_authentication_at("token", "none", *_CLIENT_AUTHENTICATION),
        **_authentication_at("revocation", "none", *_CLIENT_AUTHENTICATION),
        **_authentication_at("introspection", *_CLIENT_AUTHENTICATION),
        "dpop_signing_alg_values_supported": PROOF_ALGORITHMS,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": _CLAIMS,
        # A client takes the second one for true if it is missing (OpenID Connect Discovery §3).
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


def _authentication_at(endpoint: str, *methods: str) -> dict[str, Any]:
    prefix = f"{endpoint}_endpoint_auth"
    return {
        f"{prefix}_methods_supported": methods,
        f"{prefix}_signing_alg_values_supported": ASSERTION_ALGORITHMS,
    }
