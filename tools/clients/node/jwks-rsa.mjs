import jwt from "jsonwebtoken";
import jwksRsa from "jwks-rsa";
import { asOnPage, audience, issuer, jwksUri, serve } from "./lines.mjs";

const keys = jwksRsa({ jwksUri, ...(asOnPage && { cache: true, cacheMaxAge: 5000, rateLimit: true }) });
const keyOf = (header, done) => keys.getSigningKey(header.kid, (error, key) => done(error, key?.getPublicKey()));
const rules = { algorithms: ["RS256"], issuer, audience, clockTolerance: 10 };
await serve((token) => new Promise((resolve, reject) => {
  jwt.verify(token, keyOf, rules, (error, claims) => (error ? reject(error) : resolve(claims)));
}));
