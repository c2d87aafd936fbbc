"""Which issuer is trusted, and what must its tokens be like?

The application says so, and what it says is checked at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from hello.tokens.bounded import check_flag, check_names
from hello.tokens.introspection.client import Introspection
from hello.tokens.jwt.claim_rules import Expected, answer_rules, audience_rules
from hello.tokens.jwt.header_rules import read_types
from hello.tokens.jwt.rules import Rule
from hello.tokens.keys.discovery import Place
from hello.tokens.keys.fetched import FetchedKeys
from hello.tokens.keys.given import GivenKeys, Keys, check_given, load_keys
from hello.tokens.keys.jwk import ALGORITHMS
from hello.tokens.keys.signing_key import HASH_BYTES, SecretKey
from hello.tokens.urls import is_secure_url, shown_url

KeySource = GivenKeys | FetchedKeys
"""Where keys come from. `find` returns those that a token names and that fit its `alg`."""

FetchedKeysOf = Callable[[Place], FetchedKeys]
"""Returns the FetchedKeys of a place. They fetch nothing until a token needs a key."""


@dataclass(frozen=True, slots=True, eq=False, init=False)
class TrustedIssuer:
    """An issuer, and what its tokens must be like.

    `issuer` is a name (RFC 7519 §4.1.1) and must equal the `iss` exactly. Auth0's ends with a
    slash. `audience` is the API's identifier, or several identifiers, and a token must name one, in
    the claim `audience_claim`. A few issuers write no `aud` for APIs; name `client_id` or `azp`
    then, and the clients' identifiers as the audience. `algorithms` are names of RFC 7518 §3.1, RFC
    8812 or RFC 9864. The default is RS256, or HS256 if there is only a secret. `types` are values
    of `typ` that the issuer's access tokens have, besides JWT and at+jwt (RFC 8725 §3.11).

    The keys are fetched from `jwks_uri` or, without it, from the URL in the issuer's metadata; then
    `issuer` is an https URL. If `keys` are given, nothing is fetched. `secret` is for HS256, HS384
    and HS512, and it is at least as long as the hash (RFC 7518 §3.2). With a secret alone,
    nothing is fetched. If an issuer uses public keys, too, give `keys`, `jwks_uri` or further
    `algorithms` besides. Each kind of key is used with its own algorithms only.

    Keys are fetched over https, or http on this machine itself. `allow_insecure_http` allows http
    everywhere: whoever can change what passes on that network can make tokens of their own.

    With `introspection`, the issuer is asked about tokens that are no JWTs (RFC 7662). All rules
    for claims hold for its answers.

    `place` is where keys are fetched from. It and the two kinds of rules are for the validator.

    Raises ValueError for options that cannot work, alone or together.
    """

    issuer: str
    audience: frozenset[str]
    audience_claim: str
    algorithms: frozenset[str]
    types: frozenset[str]
    jwks_uri: str | None
    place: Place | None
    introspection: Introspection | None
    claim_rules: tuple[Rule[Expected], ...] = field(repr=False)
    answer_rules: tuple[Rule[Expected], ...] = field(repr=False)
    _keys: Mapping[str, GivenKeys | Place] = field(repr=False)  # by algorithm

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Collection[str],
        audience_claim: str = "aud",
        algorithms: Collection[str] | None = None,
        types: Collection[str] = (),
        jwks_uri: str | None = None,
        keys: Keys | Sequence[Keys] | None = None,
        secret: str | bytes | None = None,
        allow_insecure_http: bool = False,
        introspection: Introspection | None = None,
    ) -> None:
        if not isinstance(issuer, str) or not issuer:
            raise ValueError(f"issuer is what its tokens have as iss, not {issuer!r}")
        if "{" in issuer:
            raise ValueError(
                f"issuer is {issuer!r}, with a placeholder, and iss is compared exactly. Put the "
                "tenant's own identifier there, or give a resolver as issuers if there are many"
            )
        if keys is not None and jwks_uri is not None:
            raise ValueError("keys and jwks_uri both say where keys come from: give one of them")
        if not isinstance(audience_claim, str) or not audience_claim:
            raise ValueError(f"audience_claim is the name of a claim, not {audience_claim!r}")
        check_flag("allow_insecure_http", allow_insecure_http)
        if introspection is not None:
            _check_introspection(introspection, issuer)
        accepted = _algorithms(algorithms, secret, others=keys is not None or jwks_uri is not None)
        symmetric, public = accepted & HASH_BYTES.keys(), accepted - HASH_BYTES.keys()
        # RFC 8725 §2.1: a secret never verifies what a public key should, and no public key is ever
        # used as a secret. Some issuers have both while they move from one to the other.
        sources: dict[str, GivenKeys | Place] = {}
        place = None
        if secret is not None:
            sources |= dict.fromkeys(symmetric, GivenKeys([SecretKey(secret, symmetric)]))
        if keys is not None:
            loaded = load_keys(keys)
            check_given(loaded, public)
            sources |= dict.fromkeys(public, GivenKeys(loaded))
        elif public:
            _check_urls(issuer, jwks_uri, allow_insecure_http=allow_insecure_http)
            place = Place(
                issuer=issuer if jwks_uri is None else None,
                jwks_uri=jwks_uri,
                allow_insecure_http=allow_insecure_http,
            )
            sources |= dict.fromkeys(public, place)
        token_type = audience_claim != "aud" and not (
            introspection is not None and introspection.only_access_tokens
        )
        for name, value in (
            ("issuer", issuer),
            ("audience", _audience(audience)),
            ("audience_claim", audience_claim),
            ("algorithms", accepted),
            ("types", read_types(types)),
            ("jwks_uri", jwks_uri),
            ("place", place),
            ("introspection", introspection),
            ("claim_rules", audience_rules(audience_claim)),
            ("answer_rules", answer_rules(token_type=token_type)),
            ("_keys", sources),
        ):
            object.__setattr__(self, name, value)  # frozen: nobody sets them afterwards

    def accepts(self, algorithm: object) -> TypeGuard[str]:
        """Return whether a token may have this `alg` (RFC 8725 §3.1)."""
        return isinstance(algorithm, str) and algorithm in self.algorithms

    def key_source(self, algorithm: str, fetched_keys_of: FetchedKeysOf) -> KeySource:
        """Return where the keys for one of the algorithms come from."""
        source = self._keys[algorithm]
        return fetched_keys_of(source) if isinstance(source, Place) else source


def _check_introspection(introspection: Introspection, issuer: str) -> None:
    if not isinstance(introspection, Introspection):
        raise ValueError(f"introspection is an Introspection, not {type(introspection).__name__}")
    if introspection.endpoint is None and not is_secure_url(issuer):
        raise ValueError(
            f"issuer is {issuer!r}, so its introspection endpoint cannot be found: give endpoint="
        )


def _check_urls(issuer: str, jwks_uri: str | None, *, allow_insecure_http: bool) -> None:
    instead = "(http on loopback only, or everywhere with allow_insecure_http=True)"
    if jwks_uri is not None:
        if not is_secure_url(jwks_uri, allow_insecure_http=allow_insecure_http):
            raise ValueError(
                f"jwks_uri is an https URL {instead} without a user name and a password, not "
                f"{shown_url(jwks_uri)}"
            )
        return
    if not is_secure_url(issuer, allow_insecure_http=allow_insecure_http):
        raise ValueError(
            f"issuer is {shown_url(issuer)}. Its keys are found from it, so it is an https URL "
            f"{instead}; or say where they are with jwks_uri= or keys="
        )
    if set(issuer) & {"?", "#"}:
        raise ValueError(f"issuer has no query and no fragment (RFC 8414 §2): {issuer!r}")


def _algorithms(
    given: Collection[str] | None, secret: str | bytes | None, *, others: bool
) -> frozenset[str]:
    """Return the accepted algorithms. `others`: there are keys besides a secret."""
    if given is None:
        public = {"RS256"} if secret is None or others else set()
        return frozenset(public if secret is None else {"HS256", *public})
    check_names("algorithms", given)
    algorithms, known = frozenset(given), ALGORITHMS | HASH_BYTES.keys()
    if not algorithms or not algorithms <= known:
        raise ValueError(f"algorithms are some of {sorted(known)}, not {sorted(algorithms)}")
    symmetric = algorithms & HASH_BYTES.keys()
    if symmetric and secret is None:
        raise ValueError(f"algorithms has {sorted(symmetric)}, which want a secret=")
    if secret is not None and not symmetric:
        raise ValueError(f"secret is given, but algorithms is {sorted(algorithms)}: add HS256")
    if others and algorithms == symmetric:
        raise ValueError(
            f"keys or jwks_uri are given besides a secret, but algorithms is {sorted(algorithms)}: "
            "add the algorithm of those keys"
        )
    return algorithms


def _audience(given: str | Collection[str]) -> frozenset[str]:
    names = [given] if isinstance(given, str) else given
    if (
        not names
        or not isinstance(names, Collection)
        or not all(isinstance(n, str) and n for n in names)
    ):
        raise ValueError(
            f"audience is the API's identifier, a string, or a collection of them, not {given!r}"
        )
    return frozenset(names)
