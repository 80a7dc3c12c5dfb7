import * as oauth from "oauth4webapi";
import { audience, issuer, serve } from "./lines.mjs";

const url = new URL(issuer);
const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oauth2" }));
await serve((token) => {
  const request = new Request("https://api.example.com/", { headers: { authorization: `Bearer ${token}` } });
  return oauth.validateJwtAccessToken(server, request, audience);
});
