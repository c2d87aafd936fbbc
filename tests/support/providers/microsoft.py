"""What is sent to the code for Microsoft's providers?"""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

from joserfc.jwk import Key

from hello.sandbox.issuer import OMIT, base64url

from .sending import (
    Change,
    Provider,
    another_key,
    having,
    id_token,
    jwk,
    settings,
    unchanged,
    with_key,
)

PAGE = "hello/docs/providers-microsoft.md"
TENANT = "8f1c2d3e-0a1b-4c2d-8e3f-112233445566"
V1 = f"https://sts.windows.net/{TENANT}/"
V2 = f"https://login.microsoftonline.com/{TENANT}/v2.0"
API = "3c9a7b10-5d2e-4f68-9b04-a1b2c3d4e5f6"


def for_graph(iss: str) -> Change:
    """What is signed has a hash for the nonce that is sent."""
    nonce = "AQABAAAAAAD--DLA3VO7QrddgJg7WevrwA"

    def unhashed(token: str) -> str:
        _, _, rest = token.partition(".")
        header = json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))
        return f"{base64url(json.dumps({**header, 'nonce': nonce}).encode())}.{rest}"

    hashed = base64url(hashlib.sha256(nonce.encode()).digest())
    claims = {"iss": iss, "aud": "00000003-0000-0000-c000-000000000000", "scp": "User.Read"}
    return lambda sent: replace(having(claims, nonce=hashed)(sent), on_the_way=unhashed)


def of_tenant(tenant: str) -> Change:
    iss = f"https://login.microsoftonline.com/{tenant}/v2.0"
    return having({"iss": iss, "tid": tenant})


ADFS_CLIENT = "60b3d106-d155-4f9f-ba75-84b80788829f"
NOW, NEXT = "jjeQjLUam_5jZgqW1jVLeYl8Gik", "l_OZUmitFFug_qgT4aBrvnyxm94"


def both_certificates(key: Key) -> Any:
    """What AD FS publishes for some weeks before it changes its certificate."""
    now, then = jwk(key, kid=NOW, x5t=NOW), jwk(another_key(), kid=NEXT, x5t=NEXT)
    return {"keys": [now, then]}


MICROSOFT = {
    "entra": Provider(
        page=PAGE,
        keys_at=f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys",
        sent={
            "good": unchanged,
            "no-role": having({"roles": OMIT}),
            "daemon": having({"scp": OMIT}),
            "version-1": having({"iss": V1, "aud": f"api://{API}", "ver": "1.0"}),
            "graph": for_graph(V1),
            "id-token": id_token("71e0d2c4-8a6b-4f1d-9c3e-0b5a7d9e2f41"),
            "shared-registration": id_token(API),
            "api-audience": settings(f'audience="{API}"', f'audience="api://{API}"'),
            "common": settings(V2, "https://login.microsoftonline.com/common/v2.0"),
        },
    ),
    "entra-v1": Provider(
        page=PAGE,
        keys_at="https://login.microsoftonline.com/common/discovery/keys",
        sent={
            "good": unchanged,
            "version-2": having({"iss": V2, "aud": API, "ver": "2.0"}),
            "graph": for_graph(V1),
        },
    ),
    "entra-tenants": Provider(
        page=PAGE,
        keys_at="https://login.microsoftonline.com/common/discovery/v2.0/keys",
        like="entra",
        sent={
            "good": unchanged,
            "other-tenant": of_tenant("5b6c7d8e-9f01-4a2b-9c3d-445566778899"),
            "stranger": of_tenant("00112233-4455-4677-8899-aabbccddeeff"),
            "personal": of_tenant("9188040d-6c67-4c5b-b112-36a304b66dad"),
            "version-1": having({"iss": V1, "aud": f"api://{API}", "ver": "1.0"}),
            "other-api": having({"aud": "11111111-2222-4333-8444-555555555555"}),
            "daemon": having({"scp": OMIT}),
        },
    ),
    "adfs": Provider(
        page=PAGE,
        keys_at="https://adfs.example.com/adfs/discovery/keys",
        header={"kid": OMIT, "x5t": NOW},
        publish=both_certificates,
        sent={
            "good": unchanged,
            "next-key": with_key(another_key, x5t=NEXT),
            "no-scope": having({"scp": "openid"}),
            "userinfo": having({"aud": "urn:microsoft:userinfo", "scp": "openid"}),
            "client": having({"aud": f"microsoft:identityserver:{ADFS_CLIENT}"}),
            "id-token": id_token(ADFS_CLIENT, iss="https://adfs.example.com/adfs"),
            "https": settings("http://adfs", "https://adfs"),
            "max-auth-age": settings(
                'scopes={"reports.read"}', 'scopes={"reports.read"}, max_auth_age=300'
            ),
        },
    ),
}
