"""Which issuers and audiences do the tokens of the world's providers have, if not this API's?"""

from typing import Any

from hello.sandbox.issuer import OMIT
from support.real_shapes import API, GUID, ISSUER, Shape, by_name, without

TENANT = "8f1c2d3e-0a1b-4c2d-8e3f-112233445566"
OTHER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
ENTRA_1 = f"https://sts.windows.net/{TENANT}/"
ENTRA_2 = f"https://login.microsoftonline.com/{TENANT}/v2.0"
GRAPH = "00000003-0000-0000-c000-000000000000"
KEYCLOAK = "https://keycloak.example.com/realms/hello"
OKTA = "https://dev-123456.okta.com/oauth2/default"
COGNITO = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Hello1234"
GOOGLE = "https://accounts.google.com"


def issuer(advice: str, trusted: str, /, *named: object, **issuers: Any) -> list[Shape]:
    return [
        Shape(name, f"issuer.{advice}", {"iss": iss}, trusted=trusted, named=named)
        for name, iss in issuers.items()
    ]


def audience(
    advice: str, audience: Any, name: str, trusted: str = ISSUER, /, **claims: Any
) -> Shape:
    """A token for something else, whose issuer is trusted."""
    return Shape(
        name,
        f"audience.{advice}",
        claims,
        trusted=trusted,
        options={"audience": audience},
    )


ISSUERS = [
    Shape("none", "issuer.absent", without("iss"), named=(ISSUER,)),
    *issuer("absent", ISSUER, null=None, empty="", number=7, a_list=[ISSUER], an_object={}),
    *(
        Shape(name, "issuer.assertion", {"iss": client, "sub": client, "aud": f"{ISSUER}token"})
        for name, client in {
            "private_key_jwt": "Hq3vGk2sQ8m0pY7wXr1LzT5uNcB9dEfA",
            "Entra ID": GUID,
            "Google service account": "nightly@hello-123456.iam.gserviceaccount.com",
            "Okta": "0oa1abcdefGHIJKLM5d7",
            "Firebase custom token": "firebase-adminsdk@hello.iam.gserviceaccount.com",
        }.items()
    ),
    *(
        Shape(
            name,
            "issuer.kubernetes",
            {"iss": "kubernetes/serviceaccount", "sub": f"system:serviceaccount:{name}"}
            | without("aud", "exp"),
        )
        for name in ("default:default", "kube-system:default", "ci:runner", "a:b", "prod:api")
    ),
    *issuer("nearly", ISSUER, "slash", no_slash="https://id.example.com"),
    *issuer("nearly", ISSUER, "lower case", upper="https://ID.example.com/"),
    *issuer("nearly", ISSUER, "white space", space="https://id.example.com/ "),
    *issuer("nearly", ISSUER, "port", port="https://id.example.com:443/"),
    *issuer("nearly", KEYCLOAK, "slash", keycloak=f"{KEYCLOAK}/"),
    *issuer("nearly", "https://dev-abc123.eu.auth0.com", auth0="https://dev-abc123.eu.auth0.com/"),
    *issuer("nearly", ENTRA_1, "slash", entra=ENTRA_1.rstrip("/")),
    *issuer("nearly", COGNITO, "case", cognito=COGNITO.lower()),
    *issuer("nearly", "http://localhost:8080/a", "https", https="https://localhost:8080/a"),
    *issuer("plain_http", KEYCLOAK, keycloak="http://keycloak.example.com/realms/hello"),
    *issuer("plain_http", ISSUER, port="http://id.example.com:80/"),
    *issuer("plain_http", ISSUER, identityserver="http://id.example.com"),
    *issuer("plain_http", "https://a.example.com/auth/v1", supabase="http://a.example.com/auth/v1"),
    *issuer("plain_http", "https://h.example.com:4444/", hydra="http://h.example.com:4444/"),
    *issuer("no_scheme", GOOGLE, google="accounts.google.com"),
    *issuer("no_scheme", ISSUER, home_made="id.example.com"),
    *issuer("no_scheme", ISSUER, slash="id.example.com/"),
    *issuer("no_scheme", KEYCLOAK, path="keycloak.example.com/realms/hello"),
    *issuer("no_scheme", "https://clerk.example.com", clerk="clerk.example.com"),
    *(
        Shape(name, "issuer.graph", {"iss": iss, "aud": aud}, header, trusted=ENTRA_2)
        for name, iss, aud, header in (
            ("Graph", ENTRA_1, GRAPH, {"nonce": "x"}),
            ("Graph by its address", ENTRA_1, "https://graph.microsoft.com", {"nonce": "x"}),
            ("with a slash", ENTRA_1, "https://graph.microsoft.com/", {}),
            ("without nonce", ENTRA_1, GRAPH, {}),
            ("another tenant", f"https://sts.windows.net/{OTHER_TENANT}/", GRAPH, {}),
        )
    ),
    *(
        Shape(name, "issuer.entra_tenant", {"iss": iss}, trusted=trusted)
        for name, iss, trusted in (
            ("common", ENTRA_2, "https://login.microsoftonline.com/common/v2.0"),
            ("organizations", ENTRA_2, "https://login.microsoftonline.com/organizations/v2.0"),
            ("consumers", ENTRA_2, "https://login.microsoftonline.com/consumers/v2.0"),
            ("version 1", ENTRA_1, "https://login.microsoftonline.com/common/v2.0"),
            ("version 1's own", ENTRA_1, "https://sts.windows.net/common/"),
        )
    ),
    *(
        Shape(name, "issuer.entra_version", {"iss": ENTRA_1, **claims}, trusted=ENTRA_2)
        for name, claims in by_name(
            {
                "person": {"aud": f"api://{GUID}", "appid": "a", "scp": "read", "ver": "1.0"},
                "daemon": {"aud": GUID, "appid": "a", "roles": ["r"], "ver": "1.0"},
                "Azure CLI": {"aud": "https://management.azure.com", "appid": "04b07795"},
                "guest": {"aud": f"api://{GUID}", "idp": "live.com"},
                "managed identity": {"aud": f"api://{GUID}", "xms_mirid": "/subscriptions/x"},
            }
        )
    ),
    *(
        Shape(name, "issuer.entra_version_2", {"iss": ENTRA_2, **claims}, trusted=ENTRA_1)
        for name, claims in by_name(
            {
                "person": {"aud": GUID, "azp": "a", "scp": "read", "ver": "2.0"},
                "daemon": {"aud": GUID, "azp": "a", "roles": ["r"], "ver": "2.0"},
                "ID token": {"aud": GUID, "nonce": "n", "ver": "2.0"},
                "guest": {"aud": GUID, "idp": "live.com"},
                "application": {"aud": GUID, "azpacr": "1"},
            }
        )
    ),
    *issuer("host", KEYCLOAK, localhost="http://localhost:8080/realms/hello"),
    *issuer("host", KEYCLOAK, container="http://keycloak:8080/realms/hello"),
    *issuer("host", KEYCLOAK, staging="https://keycloak.staging.example.com/realms/hello/"),
    *issuer("host", OKTA, okta="https://login.example.com/oauth2/default"),
    *issuer("host", "https://a.supabase.co/auth/v1", supabase="https://b.supabase.co/auth/v1"),
    *issuer("path", KEYCLOAK, old="https://keycloak.example.com/auth/realms/hello"),
    *issuer("path", KEYCLOAK, realm="https://keycloak.example.com/realms/master"),
    *issuer("path", OKTA, okta="https://dev-123456.okta.com/oauth2/aus1abc", org=OKTA[:27]),
    *issuer("path", COGNITO, cognito=f"{COGNITO[:-4]}5678"),
    *issuer("path", ENTRA_2, entra=f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"),
    *issuer(
        "path", "https://securetoken.google.com/a", firebase="https://securetoken.google.com/b"
    ),
    *issuer(
        "other",
        ISSUER,
        ISSUER,
        tenant="https://dev-abc123.us.auth0.com/",
        custom_domain="https://login.example.com/",
        firebase="https://securetoken.google.com/hello",
        github="https://token.actions.githubusercontent.com",
        kubernetes="https://kubernetes.default.svc.cluster.local",
        word="my-issuer",
        no_port="https://id.example.com:port/",
        scheme="ftp://id.example.com/",
        entra=ENTRA_1,
        prefix="https://id.example.com.evil.example/",
    ),
    *issuer("other", ENTRA_2, other_tenant=f"https://sts.windows.net/{OTHER_TENANT}/"),
]

AUDIENCES = [
    audience("refresh_token", API, "Keycloak", KEYCLOAK, aud=KEYCLOAK, typ="Refresh", azp="c"),
    audience("refresh_token", API, "offline", KEYCLOAK, aud=KEYCLOAK, typ="Offline"),
    audience("refresh_token", API, "with nonce", aud="c", typ="Refresh", nonce="n"),
    audience("refresh_token", API, "Cognito's word", COGNITO, aud="c", token_use="refresh"),
    audience("refresh_token", API, "Ory Hydra's", aud=[], token_use="refresh_token"),
    Shape(
        "by client",
        "audience.refresh_token",
        {"token_use": "refresh", "client_id": "c"},
        options={"audience": "d", "audience_claim": "client_id"},
    ),
    audience("id_token", API, "Auth0", aud="c", nonce="n", sid="s"),
    audience("id_token", API, "Keycloak", KEYCLOAK, aud="c", typ="ID", azp="c"),
    audience("id_token", API, "Cognito", COGNITO, aud="c", token_use="id"),
    audience("id_token", API, "Okta", OKTA, aud="c", at_hash="h", ver=1),
    audience("id_token", API, "FusionAuth", aud=GUID, c_hash="h", scope="openid"),
    audience("id_token", API, "IdentityServer", aud="c", s_hash="h", amr=["pwd"]),
    audience("id_token", API, "Zitadel", aud=["c", "p"], azp="c", at_hash="h"),
    audience("perhaps_id_token", API, "oidc-provider", aud="c", sub="alice"),
    audience("perhaps_id_token", API, "Auth0 by password", aud="Hq3vGk2sQ8m0pY7w", name="A"),
    audience("perhaps_id_token", API, "Google", GOOGLE, aud="c.apps.x", azp="c.apps.x"),
    audience("perhaps_id_token", API, "Entra ID", ENTRA_2, aud=GUID, rh="x", ver="2.0"),
    audience("perhaps_id_token", API, "Cloudflare Access", aud=["4714c1358e65"], type="app"),
    audience("perhaps_id_token", API, "FusionAuth", aud=GUID, applicationId=GUID),
    audience("perhaps_id_token", API, "Descope", aud=["P2abc"], drn="DS"),
    audience(
        "perhaps_id_token", API, "client by URL", aud=["https://c.example"], azp="https://c.example"
    ),
    audience("graph", API, "by GUID", ENTRA_1, aud=GRAPH, appid="a", scp="User.Read"),
    audience("graph", API, "by address", ENTRA_1, aud="https://graph.microsoft.com"),
    audience("graph", API, "slash", ENTRA_1, aud="https://graph.microsoft.com/"),
    audience("graph", API, "version 2", ENTRA_2, aud=GRAPH),
    audience("graph", API, "daemon", ENTRA_1, aud=GRAPH, roles=["r"]),
    audience("absent", API, "Kubernetes", sub="system:serviceaccount:a:b", **without("aud")),
    audience("absent", API, "WorkOS, older", sid="s", org_id="o", **without("aud")),
    audience("absent", API, "Descope", drn="DS", **without("aud")),
    audience("absent", API, "null", aud=None),
    audience("absent", API, "azp of another type", aud=None, azp=7),
    audience("absent_client", API, "Clerk", azp="https://app.example", sid="s", **without("aud")),
    audience("absent_client", API, "WorkOS", client_id="c", sid="s", **without("aud")),
    audience("absent_client", API, "Cognito", client_id="c", token_use="access", **without("aud")),
    audience("absent_client", API, "machine", client_id="c", scope="a", **without("aud")),
    audience("absent_client", API, "Okta's name", OKTA, cid="c", aud=None),
    audience("empty", API, "Ory Hydra", scp=["a"], aud=[]),
    audience("empty", API, "nothing else", aud=[]),
    audience("empty", API, "session", aud=[], sid="s"),
    audience("empty", API, "permissions", aud=[], permissions=["a"]),
    audience("empty", API, "null client", aud=[], azp=None),
    audience("empty_client", API, "Kinde", aud=[], azp="c", scp=["openid"]),
    audience("empty_client", API, "Ory Hydra", aud=[], client_id="c", scp=["a"]),
    audience("empty_client", API, "machine", aud=[], azp="c", gty=["client_credentials"]),
    audience("empty_client", API, "Okta's name", aud=[], cid="c"),
    audience("empty_client", API, "Entra ID's name", aud=[], appid="c"),
    audience("no_text", API, "number", aud=7),
    audience("no_text", API, "object", aud={"api": API}),
    audience("no_text", API, "null in it", aud=[API, None]),
    audience("no_text", API, "number in it", aud=[7, API]),
    audience("no_text", API, "true", aud=True),
    audience("no_text", API, "empty object", aud={}),
    audience("assertion", API, "private_key_jwt", iss=ISSUER, sub=ISSUER, aud=f"{ISSUER}token"),
    *(
        audience("assertion", API, f"of {aud}", iss=ISSUER, sub=ISSUER, aud=aud)
        for aud in ("c", "https://b", f"{ISSUER}oauth/token", [f"{ISSUER}x", "y"])
    ),
    audience("nearly", API, "slash", aud=f"{API}/"),
    audience("nearly", API, "upper case", aud=[API.upper(), f"{ISSUER}userinfo"]),
    audience("nearly", API, "http", aud="http://api.example.com"),
    audience("nearly", API, "port", aud="https://api.example.com:8443"),
    audience("nearly", API, "no scheme", aud="api.example.com"),
    audience("nearly", "api.example.com", "scheme", aud=API),
    audience("nearly", "api://default", "Okta", OKTA, aud="default", cid="c"),
    audience("nearly", API, "space", aud=f"{API} "),
    *(
        Shape(
            name,
            f"audience.{advice}",
            {"client_id": "b", **without("aud"), **claims},
            options={"audience": "c", "audience_claim": claim},
            named=(claim, *named),
        )
        for advice, name, claim, claims, named in (
            ("other_claim", "Cognito", "client_id", {"token_use": "access"}, ("c",)),
            ("other_claim", "Clerk", "azp", {"azp": "https://b", "sid": "s"}, ("c",)),
            ("other_claim", "WorkOS", "client_id", {"sid": "s", "permissions": []}, ("c",)),
            ("other_claim", "number", "azp", {"azp": 7}, ("c",)),
            ("other_claim", "other letters", "client_id", {"client_id": "C"}, ("c",)),
            ("absent_claim", "no azp", "azp", {}, ()),
            ("absent_claim", "null", "azp", {"azp": None}, ()),
            ("absent_claim", "ID token", "cid", {"aud": "c", "client_id": OMIT, "nonce": "n"}, ()),
            ("absent_claim", "perhaps an ID token", "cid", {"aud": "c", "client_id": OMIT}, ()),
            ("absent_claim", "machine", "azp", {"sub": "c"}, ()),
            ("absent_claim", "nothing", "azp", {"client_id": OMIT}, ()),
            ("misspelt_claim", "upper case", "Client_Id", {"client_id": "c"}, ("client_id",)),
            ("misspelt_claim", "clientId", "clientId", {"client_id": "c"}, ("client_id",)),
            (
                "misspelt_claim",
                "Okta's name",
                "client_id",
                {"client_id": OMIT, "cid": "c"},
                ("cid",),
            ),
            ("misspelt_claim", "a list", "resource", {"resources": ["c", "d"]}, ("resources",)),
            ("misspelt_claim", "its own claim", "tenant", {"tenant_id": "c"}, ("tenant_id",)),
            ("misspelt_claim", "aud", "audience", {"aud": "c", "scope": "a"}, ("aud",)),
        )
    ),
    audience("entra", f"api://{GUID}", "version 2", ENTRA_2, aud=GUID, azp="a", scp="r"),
    audience("entra", GUID, "version 1", ENTRA_1, aud=f"api://{GUID}", appid="a", scp="r"),
    audience("entra", GUID, "slash", ENTRA_1, aud=f"api://{GUID}/", appid="a"),
    audience("entra", f"api://{GUID}", "daemon", ENTRA_2, aud=GUID, roles=["r"]),
    audience("entra", GUID.upper(), "upper case", ENTRA_2, aud=GUID),
    audience("keycloak", "hello-api", "account", KEYCLOAK, aud="account", typ="Bearer", azp="c"),
    audience("keycloak", "hello-api", "none", KEYCLOAK, typ="Bearer", azp="c", **without("aud")),
    audience("keycloak", "hello-api", "several", aud=["account", "b"], typ="Bearer", scope="a"),
    audience("keycloak", "hello-api", "before 25", aud="account", typ="Bearer", nonce="n"),
    audience(
        "keycloak", "hello-api", "service account", aud="account", typ="Bearer", client_id="c"
    ),
    *(
        audience("supabase", API, name, url, aud="authenticated", role=name)
        for name, url in {
            "authenticated": "https://a.supabase.co/auth/v1",
            "service_role": "https://a.supabase.co/auth/v1",
            "own host": "https://db.example.com/auth/v1",
            "custom domain": "https://api.example.com/auth/v1",
            "local": "https://127.0.0.1:54321/auth/v1",
        }.items()
    ),
    *(
        audience("firebase", API, name, f"https://securetoken.google.com/{name}", aud=name, **more)
        for name, more in by_name(
            {
                "hello-123": {"firebase": {"sign_in_provider": "password"}},
                "hello-456": {"email": "a@example.com"},
                "a": {"tenant": "t"},
                "anonymous": {"provider_id": "anonymous"},
                "google": {"firebase": {"sign_in_provider": "google.com"}},
            }
        )
    ),
    audience("of_issuer", API, "userinfo", aud=f"{ISSUER}userinfo", scope="openid"),
    audience("of_issuer", API, "management", aud=f"{ISSUER}api/v2/", scope="read:users"),
    audience("of_issuer", API, "resources", aud=f"{ISSUER}resources", scope="a"),
    audience("of_issuer", API, "the issuer", OKTA, aud=OKTA, scp=["a"]),
    audience("of_issuer", API, "AD FS", aud="urn:microsoft:userinfo", scp="openid"),
    audience("other", API, "Auth0", aud="https://b.example.com", azp="c", scope="a"),
    audience("other", API, "Okta", OKTA, aud="api://default", cid="c"),
    audience("other", API, "RFC 9068", aud="b", client_id="c", scope="a"),
    audience("other", API, "GitHub Actions", aud="https://github.com/hello", ref="x"),
    audience("other", API, "GitLab", aud="https://gitlab.example.com", job_id="1"),
    audience("other", API, "Kubernetes", aud=["https://kubernetes.default.svc"]),
    audience("other", API, "AD FS", aud="microsoft:identityserver:x", appid="a", scp="a"),
    audience("other", API, "Zitadel", aud=["1", "2"], client_id="3"),
    audience("other", API, "Logto", aud="https://b.example.com", client_id="c", scope=""),
    audience("other", API, "Cognito", aud="b", token_use="access"),
    audience("other", API, "azp is another", aud="b", azp="c"),
]
