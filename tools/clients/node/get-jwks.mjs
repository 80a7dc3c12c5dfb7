import { createVerifier } from "fast-jwt";
import buildGetJwks from "get-jwks";
import { asOnPage, audience, issuer, jwksUri, serve } from "./lines.mjs";

// The library would fetch from the issuer's address, which the tests serve by https, so it gets the one of JWKS_URI.
const domain = jwksUri.replace("/.well-known/jwks.json", "");
const keys = buildGetJwks({ jwksPath: "/.well-known/jwks.json", ...(asOnPage && { ttl: 5000 }) });
const verify = createVerifier({
  key: ({ header }) => keys.getPublicKey({ kid: header.kid, alg: header.alg, domain }),
  algorithms: ["RS256"], allowedIss: issuer, allowedAud: audience, cache: false,
});
await serve(verify);
