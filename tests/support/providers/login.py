"""What is sent to the code for the providers of the first page?"""

from hello.sandbox.issuer import OMIT

from .sending import Provider, both, having, id_token, instead, settings, unchanged, with_a_secret

PAGE = "hello/docs/providers.md"
KEYCLOAK = "https://keycloak.example.com/realms/hello"
COGNITO = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Hello1234"
COGNITO_CLIENT = "3example4client5id6789abcd"
COGNITO_ID_TOKEN = id_token(COGNITO_CLIENT, token_use="id")
COGNITO_SETTINGS = settings('audience="https://api.example.com"', f'audience="{COGNITO_CLIENT}"')

COGNITO_MACHINE = having(
    {
        "client_id": "7nightly8client9id0abcdefg",
        "cognito:groups": OMIT,
        "scope": "https://api.example.com/nightly.run",
        "sub": "7nightly8client9id0abcdefg",
        "username": OMIT,
    }
)

LOGIN = {
    "auth0": Provider(
        page=PAGE,
        keys_at="https://dev-abc123.eu.auth0.com/.well-known/jwks.json",
        sent={
            "good": unchanged,
            "no-permissions": having({"permissions": OMIT}),
            "opaque": instead("kXz0pQ9yR2sT"),
            "id-token": id_token("Hq3vGk2sQ8m0pY7wXr1LzT5uNcB9dEfA"),
            "custom-domain": having({"iss": "https://login.example.com/"}),
            "hs256": with_a_secret("HS256"),
            "no-slash": settings('auth0.com/"', 'auth0.com"'),
        },
    ),
    "keycloak": Provider(
        page=PAGE,
        keys_at=f"{KEYCLOAK}/protocol/openid-connect/certs",
        sent={
            "good": unchanged,
            "no-role": having({"realm_access": {"roles": ["offline_access"]}}),
            "no-roles": having({"realm_access": OMIT}),
            "account": having({"aud": "account"}),
            "no-audience": having({"aud": OMIT}),
            "localhost": having({"iss": "http://localhost:8080/realms/hello"}),
            "old-path": having({"iss": "https://keycloak.example.com/auth/realms/hello"}),
            "id-token": id_token("hello-spa", typ="ID"),
            "refresh-token": both(
                having({"typ": "Refresh", "aud": KEYCLOAK}), with_a_secret("HS512")
            ),
            "slash": settings('realms/hello"', 'realms/hello/"'),
        },
    ),
    "okta": Provider(
        page=PAGE,
        keys_at="https://dev-123456.okta.com/oauth2/default/v1/keys",
        sent={
            "good": unchanged,
            "no-scope": having({"scp": ["openid"]}),
            "no-group": having({"groups": ["Everyone"]}),
            "org-server": having(
                {"iss": "https://dev-123456.okta.com", "aud": "https://dev-123456.okta.com"},
                typ="application/okta-internal-at+jwt",
            ),
            "other-server": having(
                {"iss": "https://dev-123456.okta.com/oauth2/aus1abcdefGHIJKLM5d7"}
            ),
            "id-token": id_token("0oa1abcdefGHIJKLM5d7"),
        },
    ),
    "keycloak-compose": Provider(
        page=PAGE,
        keys_at="http://keycloak:8080/realms/hello/protocol/openid-connect/certs",
        like="keycloak",
        difference=having({"iss": "http://localhost:8080/realms/hello"}),
        sent={
            "good": unchanged,
            "cluster": both(
                having({"iss": "https://id.example.com/realms/hello"}),
                settings("http://localhost:8080/realms", "https://id.example.com/realms"),
            ),
            "inner-name": having({"iss": "http://keycloak:8080/realms/hello"}),
            "account": having({"aud": "account"}),
            "other-realm": having({"iss": "http://localhost:8080/realms/master"}),
        },
    ),
    "cognito": Provider(
        page=PAGE,
        keys_at=f"{COGNITO}/.well-known/jwks.json",
        sent={
            "good": unchanged,
            "no-group": having({"cognito:groups": OMIT}),
            "other-api": having({"scope": "openid https://other.example.com/reports.read"}),
            "machine": COGNITO_MACHINE,
            "other-client": having({"client_id": "1another2client3id4abcdef"}),
            "id-token": COGNITO_ID_TOKEN,
            "other-pool": having({"iss": COGNITO.replace("Hello", "Other")}),
            "no-claim": settings('        audience_claim="client_id",\n', ""),
        },
    ),
    "cognito-aud": Provider(
        page=PAGE,
        keys_at=f"{COGNITO}/.well-known/jwks.json",
        like="cognito",
        difference=having({"aud": "https://api.example.com"}),
        sent={
            "good": unchanged,
            "no-group": having({"cognito:groups": OMIT}),
            "no-resource": having({"aud": OMIT}),
            "machine": both(having({"aud": OMIT}), COGNITO_MACHINE),
            "id-token": COGNITO_ID_TOKEN,
            "id-token-client-audience": both(COGNITO_ID_TOKEN, COGNITO_SETTINGS),
            "client-audience": COGNITO_SETTINGS,
        },
    ),
}
