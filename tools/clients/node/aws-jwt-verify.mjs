import { JwtVerifier } from "aws-jwt-verify";
import { asOnPage, audience, issuer, jwksUri, secureJwksUri, serve } from "./lines.mjs";

const verifier = JwtVerifier.create({ issuer, jwksUri: secureJwksUri, audience });
// The library's own fetch takes only https URLs, and is never repeated: this one replaces the keys every 5 s.
const refresh = async () => verifier.cacheJwks(await (await fetch(jwksUri)).json());
if (asOnPage) {
  await refresh();
  setInterval(() => refresh().catch(() => {}), 5000);
}
await serve((token) => verifier.verify(token));
