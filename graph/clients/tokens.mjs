// Verifies an access token of each algorithm with the published keys, as other services do.
import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import jsonwebtoken from "jsonwebtoken";

const url = new URL("/.well-known/jwks.json", process.env.LUMEN_URL);
const remote = createRemoteJWKSet(url);
const { keys } = await (await fetch(url)).json();
const expected = { issuer: "lumen", audience: "lumen" };

// swapped changes the first character of a token's signature.
const swapped = (token) => token.replace(/\.(.)([^.]*)$/, (_, first, rest) => `.${first === "A" ? "B" : "A"}${rest}`);

for (const [alg, other] of [["EdDSA", "ES256"], ["ES256", "EdDSA"]]) {
  const token = process.env[`LUMEN_TOKEN_${alg.toUpperCase()}`];
  const { kid, ...header } = decodeProtectedHeader(token);
  assert.deepEqual(header, { alg, typ: "at+jwt" });

  const { payload } = await jwtVerify(token, remote, { ...expected, typ: "at+jwt", algorithms: [alg] });
  assert.equal(payload.scope, "read");
  await assert.rejects(jwtVerify(token, remote, { ...expected, algorithms: [other] }), { code: "ERR_JOSE_ALG_NOT_ALLOWED" });
  await assert.rejects(jwtVerify(swapped(token), remote), { code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" });
  console.log(`jose verified ${alg}`);

  const key = createPublicKey({ key: keys.find((jwk) => jwk.kid === kid), format: "jwk" });
  const verify = (text) => jsonwebtoken.verify(text, key, { ...expected, algorithms: [alg] });
  if (alg === "EdDSA") {
    assert.throws(() => verify(token), { message: "Unknown key type \"ed25519\"." }); // the reason for ES256
  } else {
    assert.deepEqual(verify(token), payload);
    assert.throws(() => verify(swapped(token)), { message: "invalid signature" });
    console.log(`jsonwebtoken verified ${alg}`);
  }
}
