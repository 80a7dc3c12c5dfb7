import { once } from "node:events";
import express from "express";
import { auth } from "express-oauth2-jwt-bearer";
import { asOnPage, audience, issuer, jwksUri, serve } from "./lines.mjs";

const app = express();
app.use(auth({
  issuer, jwksUri, audience, tokenSigningAlg: "RS256",
  ...(asOnPage && { cacheMaxAge: 5000, cooldownDuration: 1000, clockTolerance: 10 }),
}));
app.get("/", (request, response) => response.json(request.auth.payload.sub));
app.use((error, request, response, next) => response.status(error.status ?? 500).json(error.code));
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
await serve(async (token) => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { authorization: `Bearer ${token}` } });
  await answer.text();
  if (answer.status !== 200) throw { code: answer.status };
});
