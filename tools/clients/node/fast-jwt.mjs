import { createPublicKey } from "node:crypto";
import { createVerifier } from "fast-jwt";
import { audience, issuer, jwksUri, serve } from "./lines.mjs";

const cache = new Map();
const keyOf = async ({ header }) => {
  const known = cache.get(header.kid);
  if (known?.until > Date.now()) return known.pem;
  cache.delete(header.kid);
  const answer = await fetch(`${jwksUri}?kid=${encodeURIComponent(header.kid)}`);
  const jwk = (await answer.json()).keys.find((key) => key.kid === header.kid);
  if (!jwk) throw new Error("the key is revoked or unknown");
  const pem = createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
  if (cache.size > 10000) cache.clear();
  cache.set(header.kid, { pem, until: Date.now() + 5000 });
  return pem;
};
await serve(createVerifier({
  key: keyOf, algorithms: ["RS256"], allowedIss: issuer, allowedAud: audience, clockTolerance: 10000, cache: false,
}));
