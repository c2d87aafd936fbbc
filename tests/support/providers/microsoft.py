"""What is sent to the code for Microsoft's providers?"""

import base64
import hashlib
import json
from dataclasses import replace

from hello.sandbox.issuer import OMIT, base64url

from .sending import Change, Provider, having, id_token, settings, unchanged

PAGE = "hello/docs/providers.md"
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
}
