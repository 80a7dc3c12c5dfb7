import * as oauth from "oauth4webapi";

const { ISSUER, CLIENT_ID, KEY, SCOPE } = process.env;
const issuer = new URL(ISSUER);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oauth2" }));
const client = { client_id: CLIENT_ID };
const answer = await oauth.clientCredentialsGrantRequest(server, client, oauth.ClientSecretBasic(KEY), { scope: SCOPE });
console.log((await oauth.processClientCredentialsResponse(server, client, answer)).access_token);
