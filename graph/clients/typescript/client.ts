// Creates, lists, updates and deletes customers of a running Lumen. LUMEN_URL is the address of its
// GraphQL API, LUMEN_KEY a key with write access. A result that differs from the expected one ends
// the program with an error.
import assert from "node:assert/strict";
import { graphql } from "./generated";
import { customerPages, follow, lumen, updateCustomer } from "./lumen";

const createCustomer = graphql(`
  mutation CreateCustomer($input: CreateCustomerInput!) {
    createCustomer(input: $input) {
      customer { id email name userId }
      userErrors { code field message }
    }
  }
`);

const deleteCustomer = graphql(`
  mutation DeleteCustomer($id: ID!) {
    deleteCustomer(id: $id) {
      deletedCustomerId
      userErrors { code field message }
    }
  }
`);

const customer = graphql(`
  query Customer($id: ID!) {
    customer(id: $id) { id email name userId }
  }
`);

async function main() {
  const created: string[] = [];
  for (let i = 1; i <= 7; i++) {
    const input = { email: `jane${i}@example.com`, name: "Jane Smith", userId: `user-${i}` };
    const { data, error } = await lumen.mutation(createCustomer, { input });
    assert.ifError(error);
    assert.deepEqual(data?.createCustomer?.userErrors, []);
    const { id, ...stored } = data!.createCustomer!.customer!;
    assert.deepEqual(stored, input);
    created.push(id);
  }
  console.log(`created ${created.length} customers`);

  const pages: string[][] = [];
  for await (const page of customerPages(3)) pages.push(page.map(({ id }) => id));
  assert.deepEqual(pages.map(({ length }) => length), [3, 3, 1]);
  assert.deepEqual(pages.flat(), created.toReversed());
  console.log(`paged through them, each once, in ${pages.length} pages`);

  const [id, other] = created as [string, string];
  const jane = { id, email: "jane1@example.com", name: "Jane Smith", userId: "user-1" };
  const version = (name: string | null, currentVersion: number) =>
    ({ customer: { ...jane, name, version: currentVersion }, currentVersion, userErrors: [] });
  assert.deepEqual(await updateCustomer(id, { name: "Jane Doe" }), version("Jane Doe", 2));
  console.log("updated a name, and nothing else");

  assert.deepEqual(await updateCustomer(id, { name: null }, 2), version(null, 3));
  console.log("cleared the name, and kept what was left out");

  const late = await updateCustomer(id, { name: "Jane Poe" }, 2);
  assert.deepEqual([late.customer, late.currentVersion, late.userErrors[0]?.code], [null, 3, "VERSION_CONFLICT"]);
  console.log(`overwrote nothing: ${late.userErrors[0]?.message}`);

  const { customer: none, userErrors } = await updateCustomer(id, { email: "JANE2@example.com" });
  assert.equal(none, null);
  const [taken] = userErrors;
  assert.equal(taken?.code, "EMAIL_TAKEN");
  assert.deepEqual(taken.field, ["input", "email"]);
  console.log(`met a user error: ${taken.code}, ${taken.message}`);

  const gone = await lumen.mutation(deleteCustomer, { id });
  assert.deepEqual(gone.data, { deleteCustomer: { deletedCustomerId: id, userErrors: [] } });
  assert.deepEqual((await lumen.query(customer, { id })).data, { customer: null });
  assert.equal((await lumen.query(customer, { id: other })).data?.customer?.email, "jane2@example.com");
  console.log("deleted a customer: it is gone, the others are not");

  const copy = follow(10);
  const { value: listed } = await copy.next();
  assert.deepEqual(listed!.map(({ id }) => id), created.slice(1).toReversed());
  await updateCustomer(other, { name: "Jane Roe" });
  const { value: changed } = await copy.next();
  assert.deepEqual(changed!.map(({ id, name }) => [id, name]), [[other, "Jane Roe"]]);
  await lumen.mutation(deleteCustomer, { id: other });
  const { value: removed } = await copy.next();
  assert.ok(removed!.every((customer) => "deletedAt" in customer && customer.deletedAt));
  await copy.return(undefined);
  console.log("kept a copy in step");
}

void main();
