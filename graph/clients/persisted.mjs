// Sends persisted queries with Apollo Client and urql to a server that executes any document. The
// client sends a hash, gets the error that the server supports none, and sends the document. From
// then on it sends only documents.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { Client, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";

const url = process.env.LUMEN_URL;
const headers = { authorization: `Bearer ${process.env.LUMEN_KEY}` };
const documents = ["query A { merchant { name } }", "query B { merchant { id name } }"];

const clients = {
  apollo(fetch) {
    const sha256 = (text) => createHash("sha256").update(text).digest("hex");
    const link = new PersistedQueryLink({ sha256 }).concat(new HttpLink({ uri: url, headers, fetch }));
    const client = new ApolloClient({ link, cache: new InMemoryCache() });
    return async (document) => (await client.query({ query: gql(document), fetchPolicy: "no-cache" })).data;
  },
  urql(fetch) {
    const client = new Client({
      url,
      fetch,
      fetchOptions: { headers },
      preferGetMethod: false, // Lumen answers POST only
      exchanges: [persistedExchange({ preferGetForPersistedQueries: false }), fetchExchange],
    });
    return async (document) => {
      const { data, error } = await client.query(document, {}).toPromise();
      assert.ifError(error);
      return data;
    };
  },
};

for (const [name, make] of Object.entries(clients)) {
  const sent = [];
  const ask = make(async (to, init) => {
    const response = await fetch(to, init);
    const { query, extensions } = JSON.parse(init.body);
    const { errors } = await response.clone().json();
    sent.push([query ? "document" : "no document", extensions?.persistedQuery ? "hash" : "no hash", errors?.[0].message ?? "data"].join(", "));
    return response;
  });
  for (const document of documents) assert.ok((await ask(document)).merchant.name);
  assert.deepEqual(sent, ["no document, hash, PersistedQueryNotSupported", "document, no hash, data", "document, no hash, data"]);
  console.log(`${name} fell back by itself`);
}
