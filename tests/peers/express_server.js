// Express 4 with express-oauth2-jwt-bearer, as in that library's "Getting started".
const express = require("express");
const { auth, UnauthorizedError } = require("express-oauth2-jwt-bearer");

const app = express();

app.get("/api/messages/public", (_request, response) =>
  response.json({ text: "This is a public message." }),
);
app.get(
  "/api/messages/protected",
  auth({ issuerBaseURL: process.env.ISSUER, audience: process.env.AUDIENCE }),
  (_request, response) => response.json({ text: "This is a protected message." }),
);
// Without it Express prints a stack for each refusal, which costs more than the refusal.
app.use((error, _request, response, next) => {
  if (!(error instanceof UnauthorizedError)) {
    return next(error);
  }
  response.status(error.status).set(error.headers).json({ message: error.message });
});
app.listen(Number(process.env.PORT), "127.0.0.1");
