"""What is sent to the code for providers of web and mobile apps?"""

import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey, Key

from hello.sandbox.issuer import OMIT, base64url

from .sending import (
    Provider,
    Sent,
    another_key,
    both,
    having,
    id_token,
    instead,
    settings,
    unchanged,
    with_a_secret,
    with_key,
)

PAGE = "hello/docs/providers-apps.md"
GOOGLE = "https://www.googleapis.com"
SUPABASE = "https://abcdefghijklmnopqrst.supabase.co/auth/v1"
SUPABASE_SECRET = b"a-legacy-secret-of-forty-characters-long"
DESCOPE = "P2PqjhPcC8Hri2nXUY7f234F"
WORKOS = "client_01HELLO0123456789ABCDEFGHJ"
ACCOUNT = "firebase-adminsdk-x1y2z@hello-123456.iam.gserviceaccount.com"


def certificates(key: Key) -> Any:
    """A mapping of names to certificates, as Google publishes it."""
    private: Any = key
    private = private.private_key
    assert isinstance(private, RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "securetoken.system")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=16))
        .sign(private, SHA256())
    )
    return {key.kid: certificate.public_bytes(Encoding.PEM).decode()}


def unsigned(sent: Sent) -> Sent:
    signed = replace(sent, header={**sent.header, "kid": OMIT})
    return replace(
        having({}, alg="none")(signed), on_the_way=lambda token: token.rpartition(".")[0] + "."
    )


def forged(sent: Sent) -> Sent:
    """Signed with the public key as if it were a secret (RFC 8725 §2.1)."""
    assert isinstance(sent.key, ECKey)
    pem = sent.key.as_pem(private=False)

    def signed_anew(token: str) -> str:  # joserfc makes no secret of a public key
        signed = token.rpartition(".")[0]
        return f"{signed}.{base64url(hmac.digest(pem, signed.encode(), 'sha256'))}"

    return replace(with_a_secret("HS256")(sent), on_the_way=signed_anew)


KINDE_CLIENT = "d4d3c5b74e064badb9625a4aa6241bcc"
KINDE_MACHINE = having(
    {
        "gty": ["client_credentials"],
        "permissions": OMIT,
        "scope": "nightly:run",
        "scp": ["nightly:run"],
        "sub": OMIT,
        "v": "2",
    }
)
NO_AZP = settings('        audience_claim="azp",\n', "")
NO_CLIENT_ID = settings('        audience_claim="client_id",\n', "")

APPS = {
    "clerk": Provider(
        page=PAGE,
        keys_at="https://clerk.example.com/.well-known/jwks.json",
        header={"cat": "cl_B7d4PD111AAA"},
        sent={
            "good": unchanged,
            "no-admin": having({"o": {"id": "org_2b7c4d1e5f60", "rol": "member"}}),
            "no-organization": having({"o": OMIT}),
            "pending": having({"sts": "pending"}),
            "template": having({"aud": "other", "sts": OMIT, "sid": OMIT, "fva": OMIT, "v": OMIT}),
            "other-page": having({"azp": "https://blog.example.com"}),
            "no-origin": having({"azp": OMIT}),
            "development": having({"iss": "https://amazed-oyster-57.clerk.accounts.dev"}),
            "oauth": instead("oat_2b7c4d1e5f604718"),
            "no-claim": NO_AZP,
            "own-template": both(
                having({"aud": "https://api.example.com", "sts": OMIT, "azp": OMIT}),
                both(
                    both(NO_AZP, settings('claims={"sts": "active"}', "")),
                    settings("https://app.example.com", "https://api.example.com"),
                ),
            ),
        },
    ),
    "descope": Provider(
        page=PAGE,
        keys_at=f"https://api.descope.com/{DESCOPE}/.well-known/jwks.json",
        sent={
            "good": unchanged,
            "no-permission": having({"permissions": []}),
            "refresh-token": having({"drn": "DSR"}),
            "no-template": having({"aud": OMIT}),
            "older": having({"iss": f"https://api.descope.com/{DESCOPE}"}),
            "oldest": having({"iss": DESCOPE}),
            "project-issuer": both(
                having({"iss": DESCOPE}),
                settings('f"https://api.descope.com/v1/apps/{PROJECT}"', "PROJECT"),
            ),
            "other-project": having({"iss": "https://api.descope.com/v1/apps/P2other"}),
        },
    ),
    "firebase": Provider(
        page=PAGE,
        keys_at=f"{GOOGLE}/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
        sent={
            "good": unchanged,
            "stranger": having({"report_reader": OMIT}),
            "anonymous": having(
                {
                    "report_reader": OMIT,
                    "email": OMIT,
                    "provider_id": "anonymous",
                    "firebase": {"identities": {}, "sign_in_provider": "anonymous"},
                }
            ),
            "other-project": having(
                {"iss": "https://securetoken.google.com/other-654321", "aud": "other-654321"}
            ),
            "cookie": having({"iss": "https://session.firebase.google.com/hello-123456"}),
            "custom-token": having(
                {
                    "iss": ACCOUNT,
                    "sub": ACCOUNT,
                    "aud": "https://identitytoolkit.googleapis.com/google.identity."
                    "identitytoolkit.v1.IdentityToolkit",
                    "uid": "Xk893u23H9SI893a7b6c5d4e3f2a",
                }
            ),
            "emulator": unsigned,
        },
    ),
    "firebase-certificates": Provider(
        page=PAGE,
        keys_at=f"{GOOGLE}/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com",
        like="firebase",
        publish=certificates,
        asked=True,
        sent={
            "good": unchanged,
            "other-key": with_key(another_key),
            "other-project": having(
                {"iss": "https://securetoken.google.com/other-654321", "aud": "other-654321"}
            ),
        },
    ),
    "kinde": Provider(
        page=PAGE,
        keys_at="https://hello.kinde.com/.well-known/jwks",
        sent={
            "good": unchanged,
            "no-permission": having({"permissions": []}),
            "other-organization": having({"org_code": "org_9f8e7d6c5b4"}),
            "machine": KINDE_MACHINE,
            "no-audience": having({"aud": []}),
            "id-token": id_token("", aud=["https://hello.kinde.com", KINDE_CLIENT]),
            "custom-domain": having({"iss": "https://login.example.com"}),
        },
    ),
    "supabase": Provider(
        page=PAGE,
        keys_at=f"{SUPABASE}/.well-known/jwks.json",
        alg="ES256",
        sent={
            "good": unchanged,
            "secret": with_a_secret("HS256", SUPABASE_SECRET),
            "other-secret": with_a_secret("HS256"),
            "forged": forged,
            "no-role": having({"app_metadata": {"provider": "email", "providers": ["email"]}}),
            "user-metadata": having(
                {
                    "app_metadata": {"provider": "email"},
                    "user_metadata": {"roles": ["report-reader"]},
                }
            ),
            "anonymous": having({"is_anonymous": True, "app_metadata": {}}),
            "anon-key": lambda sent: with_a_secret("HS256", SUPABASE_SECRET)(
                replace(sent, claims=project_key("anon", sent))
            ),
            "service-key": lambda sent: with_a_secret("HS256", SUPABASE_SECRET)(
                replace(sent, claims=project_key("service_role", sent))
            ),
            "new-key": instead("sb_publishable_2b7c4d1e5f604718"),
            "other-project": having({"iss": SUPABASE.replace("abcd", "dcba")}),
        },
    ),
    "workos": Provider(
        page=PAGE,
        keys_at=f"https://api.workos.com/sso/jwks/{WORKOS}",
        sent={
            "good": unchanged,
            "no-permission": having({"permissions": []}),
            "no-organization": having(
                dict.fromkeys(("org_id", "permissions", "role", "roles"), OMIT)
            ),
            "older": having({"iss": "https://api.workos.com"}),
            "other-environment": having(
                {
                    "iss": "https://api.workos.com/user_management/client_01OTHER",
                    "client_id": "client_01OTHER",
                }
            ),
            "connect": having({"iss": "https://hello.authkit.app", "aud": WORKOS}),
            "no-client": having({"client_id": OMIT}),
            "no-claim": NO_CLIENT_ID,
            "template": both(
                having({"aud": "https://api.example.com", "client_id": OMIT}),
                both(
                    NO_CLIENT_ID, settings("audience=CLIENT", 'audience="https://api.example.com"')
                ),
            ),
        },
    ),
}


def project_key(role: str, sent: Sent) -> dict[str, Any]:
    """The claims of a key that Supabase makes for a project, for ten years."""
    times = {name: sent.claims[name] for name in ("iat", "exp")}
    return {"iss": "supabase", "ref": "abcdefghijklmnopqrst", "role": role, **times}
