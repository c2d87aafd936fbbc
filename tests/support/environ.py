"""Which environments make a configuration?"""

TENANT = {
    "AUTH0_DOMAIN": "dev-abc123.eu.auth0.com",
    "AUTH0_AUDIENCE": "https://hello-world.example.com",
    "CLIENT_ORIGIN_URL": "http://localhost:4040",
}
OTHER_ISSUER = {
    "ISSUER_BASE_URL": "https://keycloak.example.com/realms/hello",
    "AUTH0_AUDIENCE": TENANT["AUTH0_AUDIENCE"],
    "CLIENT_ORIGIN_URL": TENANT["CLIENT_ORIGIN_URL"],
}


def environ_with(name: str, value: str) -> dict[str, str]:
    """An environment that is right but for one variable."""
    return {**(OTHER_ISSUER if name == "ISSUER_BASE_URL" else TENANT), name: value}
