// Fastify with @fastify/jwt and its cache of verified tokens, as in that plugin's README. Its key is
// fetched at start and stays: rotation is what one would add.
const { createPublicKey } = require("node:crypto");
const fastify = require("fastify")();

async function main() {
  const answer = await fetch(`${process.env.ISSUER}.well-known/jwks.json`);
  const jwk = (await answer.json()).keys[0];
  await fastify.register(require("@fastify/jwt"), {
    secret: {
      public: createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" }),
    },
    verify: {
      algorithms: ["RS256"],
      allowedIss: process.env.ISSUER,
      allowedAud: process.env.AUDIENCE,
      cache: true,
    },
  });
  fastify.get("/api/messages/public", async () => ({ text: "This is a public message." }));
  fastify.get(
    "/api/messages/protected",
    { onRequest: (request) => request.jwtVerify() },
    async () => ({ text: "This is a protected message." }),
  );
  await fastify.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
}

main();
