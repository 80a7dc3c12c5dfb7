import * as client from "openid-client";

const { ISSUER, CLIENT_ID, KEY, SCOPE } = process.env;
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, KEY);
console.log((await client.clientCredentialsGrant(config, { scope: SCOPE })).access_token);
