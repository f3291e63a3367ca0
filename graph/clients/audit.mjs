// Runs the audits of graphql-http for GraphQL over HTTP. Everything that the specification demands
// or recommends has to pass. The only notices are those of optional behavior for queries in a GET,
// which Lumen does not answer.
import assert from "node:assert/strict";
import { serverAudits } from "graphql-http";

const audits = serverAudits({
  url: process.env.LUMEN_URL,
  fetchFn: (url, init) =>
    fetch(url, { ...init, headers: { ...init?.headers, authorization: `Bearer ${process.env.LUMEN_KEY}` } }),
});

const ids = { ok: [], notice: [], warn: [], error: [] };
for (const audit of audits) {
  const { id, name, status, reason } = await audit.fn();
  ids[status].push(id);
  console.log(`${status.padEnd(6)} ${id} ${name}${reason ? `: ${reason}` : ""}`);
}
console.log(Object.entries(ids).map(([status, { length }]) => `${length} ${status}`).join(", "));

const { ok, ...others } = ids;
assert.deepEqual(others, { notice: ["5A70", "D6D5", "6A70"], warn: [], error: [] });
assert.equal(ok.length, 58);
