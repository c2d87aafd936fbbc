"""How does a test send a token that is bound to a key (RFC 9449)?

key = ClientKey()
token = sandbox_issuer.mint(claims={"cnf": key.confirmation})
headers = key.headers("GET", client.make_url("/reports"), token)
"""

import hashlib
import time
from uuid import uuid4

from joserfc.jwk import ECKey
from yarl import URL

from hello.tokens.possession.proof import thumbprint_of

from .issuer import base64url, sign


class ClientKey:
    """The key of a client, which makes proofs with it. `confirmation` is a token's claim `cnf`."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")
        self._public = self._key.as_dict(private=False)
        self.confirmation: dict[str, str] = {"jkt": thumbprint_of(self._public)}

    def headers(self, method: str, url: str | URL, token: str) -> dict[str, str]:
        """Return the headers that carry a token and its proof, for one request (§7.1).

        `url` is absolute. A query and a fragment do not matter.
        """
        proof = {
            "jti": uuid4().hex,
            "htm": method,
            "htu": str(url),
            "iat": int(time.time()),
            "ath": base64url(hashlib.sha256(token.encode()).digest()),
        }
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._public}
        return {"Authorization": f"DPoP {token}", "DPoP": sign(header, proof, self._key)}
