import { createRemoteJWKSet, jwtVerify } from "jose";
import { asOnPage, audience, issuer, jwksUri, serve } from "./lines.mjs";

const keys = createRemoteJWKSet(new URL(jwksUri), asOnPage ? { cacheMaxAge: 5000, cooldownDuration: 1000 } : {});
await serve((token) => jwtVerify(token, keys, { algorithms: ["RS256"], issuer, audience, clockTolerance: 10 }));
