// The same steps as in ../typescript/client.ts, with Relay's runtime, compiler and connections.
import assert from "node:assert/strict";
import {
  commitMutation, createOperationDescriptor, Environment, fetchQuery, getPaginationMetadata, getPaginationVariables, getSingularSelector,
  type GraphQLTaggedNode, type MutationParameters, Network, RecordSource, Store,
} from "relay-runtime";
import list, { type customers_list$data } from "./generated/customers_list.graphql";
import create, { type customersCreateMutation } from "./generated/customersCreateMutation.graphql";
import remove, { type customersDeleteMutation } from "./generated/customersDeleteMutation.graphql";
import node, { type customersNodeQuery } from "./generated/customersNodeQuery.graphql";
import page from "./generated/customersPageQuery.graphql";
import update, { type customersUpdateMutation } from "./generated/customersUpdateMutation.graphql";

const environment = new Environment({
  store: new Store(new RecordSource()),
  network: Network.create(async ({ id }, variables) => {
    const reply = await fetch(process.env.LUMEN_URL!, {
      method: "POST",
      headers: { authorization: `Bearer ${process.env.LUMEN_KEY}`, "content-type": "application/json" },
      // The artifacts contain only ids; the server has the compiler's manifest of the documents.
      body: JSON.stringify({ documentId: id, variables }),
    });
    return reply.json();
  }),
});

function mutate<M extends MutationParameters>(mutation: GraphQLTaggedNode, variables: M["variables"]): Promise<M["response"]> {
  return new Promise((onCompleted, onError) => commitMutation<M>(environment, { mutation, variables, onCompleted, onError }));
}

/** Yields the ids that Relay's store has of a list, after each page that it fetches. */
async function* connection(first: number) {
  const operation = createOperationDescriptor(page, { first });
  const { paginationRequest, paginationMetadata } = getPaginationMetadata(list, "client");
  environment.retain(operation);
  await fetchQuery(environment, page, { first }).toPromise();
  for (;;) {
    const known = environment.lookup(getSingularSelector(list, environment.lookup(operation.fragment).data));
    const { edges, pageInfo } = (known.data as customers_list$data).customers;
    yield edges.map(({ node: { id } }) => id);
    if (!pageInfo.hasNextPage) return;
    const variables = getPaginationVariables("forward", first, pageInfo.endCursor, {}, {}, paginationMetadata);
    await fetchQuery(environment, paginationRequest, variables).toPromise();
  }
}

async function main() {
  const created: string[] = [];
  for (let i = 1; i <= 7; i++) {
    const input = { email: `jane${i}@example.com`, name: "Jane Smith", userId: `user-${i}` };
    const { createCustomer } = await mutate<customersCreateMutation>(create, { input });
    assert.deepEqual(createCustomer?.userErrors, []);
    const { id, ...stored } = createCustomer.customer!;
    assert.deepEqual(stored, input);
    created.push(id);
  }
  console.log(`created ${created.length} customers`);

  const known: string[][] = [];
  for await (const ids of connection(3)) known.push(ids);
  assert.deepEqual(known.map(({ length }) => length), [3, 6, 7]);
  assert.deepEqual(known.at(-1), created.toReversed());
  console.log(`paged through them, each once, in ${known.length} pages of one connection`);

  const [id, other] = created as [string, string];
  const jane = { id, email: "jane1@example.com", name: "Jane Smith", userId: "user-1" };
  assert.deepEqual(await mutate<customersUpdateMutation>(update, { id, input: { name: "Jane Doe" } }),
    { updateCustomer: { customer: { ...jane, name: "Jane Doe" }, userErrors: [] } });
  console.log("updated a name, and nothing else");

  assert.deepEqual(await mutate<customersUpdateMutation>(update, { id, input: { name: null } }),
    { updateCustomer: { customer: { ...jane, name: null }, userErrors: [] } });
  console.log("cleared the name, and kept what was left out");

  const { updateCustomer } = await mutate<customersUpdateMutation>(update, { id, input: { email: "JANE2@example.com" } });
  assert.equal(updateCustomer?.customer, null);
  const [taken] = updateCustomer.userErrors;
  assert.equal(taken?.code, "EMAIL_TAKEN");
  assert.deepEqual(taken.field, ["input", "email"]);
  console.log(`met a user error: ${taken.code}, ${taken.message}`);

  assert.deepEqual(await mutate<customersDeleteMutation>(remove, { id }), { deleteCustomer: { deletedCustomerId: id, userErrors: [] } });
  const lookUp = (id: string) => fetchQuery<customersNodeQuery>(environment, node, { id }).toPromise();
  assert.deepEqual(await lookUp(id), { node: null });
  assert.equal((await lookUp(other))?.node?.email, "jane2@example.com");
  console.log("deleted a customer: it is gone, the others are not");
}

void main();
