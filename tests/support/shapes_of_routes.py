"""Which valid tokens do not meet what a route requires?"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hello import auth
from hello.auth import Reason
from support.real_shapes import GUID, NOW, by_name


class Lacking(NamedTuple):
    """What a route requires, what a token has, and the advice about it. `named` stands in it."""

    name: str
    advice: str
    required: Mapping[str, Any]
    claims: Mapping[str, Any] = {}
    named: tuple[object, ...] = ()


def says_no(_token: auth.AccessToken) -> bool:
    return False


def fails(_token: auth.AccessToken) -> bool:
    raise KeyError("realm_access")


def refuses(reason: Reason) -> auth.Check:
    """A check that raises a refusal of its own."""

    def refuse(_token: auth.AccessToken) -> bool:
        raise auth.InsufficientScopeError(reason)

    return refuse


PERMISSIONS: dict[str, Any] = {"permissions": {"read:reports"}}
SCOPES: dict[str, Any] = {"scopes": {"read", "write"}}
MFA: dict[str, Any] = {"acr_values": ["mfa", "phr"]}
RECENT: dict[str, Any] = {"max_auth_age": 300}
ROLES: dict[str, Any] = {"claims": {"roles": {"admin"}}}

LACKING = [
    *(
        Lacking(name, "permissions.no_claim", PERMISSIONS, claims)
        for name, claims in by_name(
            {
                "Auth0 without RBAC": {"scope": "openid"},
                "Entra ID": {"roles": ["read:reports"]},
                "Keycloak": {"realm_access": {"roles": ["a"]}, "typ": "Bearer"},
                "Okta": {"scp": ["a"]},
                "nothing": {},
            }
        )
    ),
    *(
        Lacking(name, "permissions.lacking", PERMISSIONS, {"permissions": has}, ("read:reports",))
        for name, has in {
            "none": [],
            "another": ["write:reports"],
            "upper case": ["READ:REPORTS"],
            "in one text": ["read:reports write:reports"],
            "several": ["a", "b"],
        }.items()
    ),
    *(
        Lacking(name, "scope.lacking", SCOPES, claims, ("write",))
        for name, claims in by_name(
            {
                "one": {"scope": "read"},
                "a list": {"scp": ["read"]},
                "Entra ID": {"scp": "read User.Read"},
                "upper case": {"scope": "read WRITE"},
                "with commas": {"scope": "read,write"},
                "empty": {"scope": ""},
            }
        )
    ),
    Lacking("any", "scope.lacking", {"any_scope": ["b", "c"]}, {"scope": "a"}, ("one of b, c",)),
    Lacking("any of one", "scope.lacking", {"any_scope": ["b"]}, {"scope": "a"}, ("b",)),
    Lacking(
        *("all and any", "scope.lacking", {"scopes": {"x"}, "any_scope": ["b", "c"]}),
        *({"scope": "a"}, ("x and one of b, c",)),
    ),
    *(
        Lacking(name, "scope.no_claim", SCOPES, claims, ("read", "write"))
        for name, claims in by_name(
            {
                "Entra ID's daemon": {"roles": ["Nightly.Run"], "azp": GUID},
                "ID token": {"nonce": "n"},
                "Auth0's machine": {"gty": "client-credentials", "permissions": ["read"]},
                "Clerk": {"azp": "https://app.example.com", "sid": "s"},
                "nothing": {},
            }
        )
    ),
    *(
        Lacking(f"acr {name}", "authentication.no_claim", required, claims, named)
        for name, required, claims, named in (
            ("absent", MFA, {}, ("acr",)),
            ("null", MFA, {"acr": None}, ("acr",)),
            ("or auth_time absent", RECENT, {"acr": "mfa"}, ("auth_time",)),
            ("and auth_time absent", {**MFA, **RECENT}, {}, ("acr", "auth_time")),
            ("there, no auth_time", {**MFA, **RECENT}, {"acr": "mfa"}, ("auth_time",)),
        )
    ),
    *(
        Lacking(name, "authentication.login", required, claims, named)
        for name, required, claims, named in (
            ("weak", MFA, {"acr": "0"}, ("acr_values", "mfa")),
            ("Entra ID", MFA, {"acr": "1"}, ("acr_values",)),
            ("of another type", MFA, {"acr": 2}, ("acr_values",)),
            ("long ago", RECENT, {"auth_time": NOW - 301}, ("max_age=300",)),
            ("both", {**MFA, **RECENT}, {"acr": "0", "auth_time": NOW}, ("acr_values",)),
            ("1970", RECENT, {"auth_time": 0}, ("max_age=300",)),
        )
    ),
    *(
        Lacking(
            f"auth_time {auth_time}", "authentication.no_time", RECENT, {"auth_time": auth_time}
        )
        for auth_time in (NOW * 1000, str(NOW), True, NOW + 999, "2027-01-15")
    ),
    *(
        Lacking(name, "claim.absent", required, claims, named)
        for name, required, claims, named in (
            ("roles", ROLES, {}, ("roles", "'admin'")),
            ("nested", {"claims": {"realm_access.roles": "a"}}, {"realm_access": {}}, ()),
            ("organization", {"claims": {"org_id": "o"}}, {}, ("org_id='o'",)),
            ("groups", {"claims": {"cognito:groups": {"a"}}}, {}, ("cognito:groups",)),
            ("one of two", {"claims": {"a": 1, "b": 2}}, {"a": 1}, ("b=2",)),
        )
    ),
    *(
        Lacking(name, "claim.other", required, claims)
        for name, required, claims in (
            ("another role", ROLES, {"roles": ["reader"]}),
            ("no role", ROLES, {"roles": []}),
            ("null", ROLES, {"roles": None}),
            ("text", {"claims": {"email_verified": True}}, {"email_verified": "true"}),
            ("number", {"claims": {"org": "5"}}, {"org": 5}),
            ("token_use", {"claims": {"token_use": "access"}}, {"token_use": "id"}),
        )
    ),
    *(
        Lacking(name, "claim.elsewhere", {"claims": {"groups": {"g"}}}, claims, ("groups",))
        for name, claims in by_name(
            {
                "Entra ID": {"_claim_names": {"groups": "src1"}, "_claim_sources": {}},
                "version 1": {"_claim_names": {"groups": "src1"}, "ver": "1.0"},
                "others too": {"_claim_names": {"groups": "a", "roles": "b"}},
                "roles": {"_claim_names": {"groups": "src1"}, "roles": ["r"]},
                "daemon": {"_claim_names": {"groups": "src1"}, "azp": GUID},
            }
        )
    ),
    Lacking("odd", "claim.absent", {"claims": {"groups": {"g"}}}, {"_claim_names": "groups"}),
    *(
        Lacking(name, "check.refused", required, claims, named)
        for name, required, claims, named in (
            ("False", {"check": says_no}, {}, ("says_no",)),
            ("raises", {"check": fails}, {}, ("fails",)),
            ("scope", {"check": refuses(Reason.SCOPE)}, {}, ("refuse",)),
            ("permissions", {"check": refuses(Reason.PERMISSIONS)}, {}, ("refuse",)),
            ("claim", {"check": refuses(Reason.CLAIM)}, {}, ("refuse",)),
            ("met claim", {"check": refuses(Reason.CLAIM), **ROLES}, {"roles": ["admin"]}, ()),
            (
                "met permission",
                {"check": refuses(Reason.PERMISSIONS), **PERMISSIONS},
                {"permissions": ["read:reports"]},
                (),
            ),
            (
                "met scope",
                {"check": refuses(Reason.SCOPE), "scopes": {"a"}, "any_scope": ["b", "c"]},
                {"scope": "a c"},
                (),
            ),
        )
    ),
]
