"""BlackSheep with its own JWTBearerAuthentication, as in its documentation."""

import os

from blacksheep import Application, json
from blacksheep.server.authentication.jwt import JWTBearerAuthentication
from blacksheep.server.authorization import Policy, auth
from guardpost.common import AuthenticatedRequirement

app = Application()
app.use_authentication().add(
    JWTBearerAuthentication(
        authority=os.environ["ISSUER"],
        valid_audiences=[os.environ["AUDIENCE"]],
        valid_issuers=[os.environ["ISSUER"]],
    )
)
app.use_authorization().add(Policy("authenticated", AuthenticatedRequirement()))


@app.router.get("/api/messages/public")
async def public_message():
    return json({"text": "This is a public message."})


@auth("authenticated")
@app.router.get("/api/messages/protected")
async def protected_message():
    return json({"text": "This is a protected message."})
