// The protocol of the client matrix: a token is a line in, the verdict a line out.
import { createInterface } from "node:readline";

export const { ISSUER: issuer, JWKS_URI: jwksUri, SECURE_JWKS_URI: secureJwksUri, AUDIENCE: audience } = process.env;
export const asOnPage = process.env.SETTING === "page";

export async function serve(verify) {
  for await (const token of createInterface({ input: process.stdin })) {
    try {
      await verify(token);
      console.log("accepted");
    } catch (error) {
      console.log("refused", String(error.code ?? error.name));
    }
  }
  process.exit();
}
