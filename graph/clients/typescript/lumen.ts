import { Client, fetchExchange, type OperationResult } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { graphql } from "./generated";
import type { CustomersPageQuery, UpdateCustomerInput } from "./generated/graphql";

export const lumen = new Client({
  url: process.env.LUMEN_URL!,
  exchanges: [
    persistedExchange({
      enforcePersistedQueries: true,
      enableForMutation: true,
      preferGetForPersistedQueries: false, // Lumen answers POST only
      generateHash: async (_, document: any) => document.__meta__.hash,
    }),
    fetchExchange,
  ],
  fetchOptions: { headers: { authorization: `Bearer ${process.env.LUMEN_KEY}` } },
  preferGetMethod: false,
});

const page = graphql(`query CustomersPage($first: Int!, $after: String) {
  customers(first: $first, after: $after) { nodes { id email name createdAt } pageInfo { hasNextPage endCursor } }
}`);

/** Yields all customers, newest first, a page at a time. */
export async function* customerPages(first: number) {
  let after: string | null | undefined;
  do {
    const { data, error }: OperationResult<CustomersPageQuery> = await lumen.query(page, { first, after });
    if (!data) throw error;
    yield data.customers.nodes;
    after = data.customers.pageInfo.hasNextPage ? data.customers.pageInfo.endCursor : null;
  } while (after);
}

const update = graphql(`mutation UpdateCustomer($id: ID!, $input: UpdateCustomerInput!, $expectedVersion: Int) {
  updateCustomer(id: $id, input: $input, expectedVersion: $expectedVersion) {
    customer { id email name userId version }
    currentVersion
    userErrors { code field message }
  }
}`);

/**
 * Changes the fields that are given; null clears one. userErrors lists what the caller can correct. With
 * expectedVersion, it changes nothing if the customer has another version by then.
 */
export async function updateCustomer(id: string, input: UpdateCustomerInput, expectedVersion?: number) {
  const { data, error } = await lumen.mutation(update, { id, input, expectedVersion });
  if (!data?.updateCustomer) throw error; // error.graphQLErrors[0].extensions.code says why
  return data.updateCustomer;
}

const changes = graphql(`query Changes($after: String) {
  changes(after: $after, first: 250) {
    nodes { customer { id email name createdAt deletedAt } }
    pageInfo { hasNextPage endCursor }
  }
}`);

/** Yields all customers, and then those that change; one with deletedAt is gone. wait is in ms. */
export async function* follow(wait: number) {
  const read = async (after: string) => {
    const { data, error } = await lumen.query(changes, { after });
    if (!data) throw error; // CURSOR_EXPIRED: start again
    return data.changes;
  };
  let page = await read("now"); // start
  yield* customerPages(250); // list
  for (;;) { // follow
    page = await read(page.pageInfo.endCursor!);
    if (page.nodes.length > 0) yield page.nodes.map(({ customer }) => customer!);
    if (!page.pageInfo.hasNextPage) await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
