// The values that prepared variables are made of, so that each operation runs as it stands: cursors
// and email addresses of the merchant that is signed in. The operations that change a customer name
// a customer of a demo merchant, or one that was created here, so that nothing of value is lost.
import { send, session } from './session.js';
import { createStore } from './store.js';

const nobody = 'cust_00000000000000000000000000';
const newEmail = () => `jane.${Math.random().toString(36).slice(2, 8)}@example.com`;

export const examples = createStore({ id: nobody, email: 'ada.lovelace@example.com', cursor: null, newEmail: newEmail() });

let created = []; // the ids of the customers that were created here and still exist
let owner = null; // the id of their merchant

// The variables that were filled in, by operation. An operation that was run has none: its variables
// then stay as they are, so that a second run acts on the same customer.
const filled = new Map();

// prepare returns an operation's variables as text.
export function prepare(operation) {
  const text = JSON.stringify(operation.variables(examples.get()), null, 2);
  filled.set(operation.name, text);
  return text;
}

// isUntouched reports whether variables were filled in here and neither edited nor run since.
export const isUntouched = (operation, text) => filled.get(operation.name) === text;

export const markRun = name => filled.delete(name);

// newExample returns variables for an operation that were not used before, as text.
export async function newExample(operation) {
  await refresh();
  examples.set({ newEmail: newEmail() });
  return prepare(operation);
}

// refresh reads the examples of the merchant that is signed in.
export async function refresh() {
  const { merchant, demo } = session.get();
  if (merchant?.id !== owner) {
    owner = merchant?.id;
    created = [];
    examples.set({ id: nobody, cursor: null });
  }
  if (!merchant) return;
  const { data } = await send({ query: '{ customers(first: 5) { nodes { id email } pageInfo { endCursor } } }' });
  const [newest, second] = data?.customers.nodes ?? [];
  if (!newest) return;
  examples.set({
    id: demo ? newest.id : created.at(-1) ?? nobody,
    email: (second ?? newest).email, // still exists after the newest customer is deleted
    cursor: data.customers.pageInfo.endCursor,
  });
}

// learn takes from a result what other operations can use.
export async function learn(name, result) {
  const data = result.data ?? {};
  if (data.createCustomer?.customer) {
    created.push(data.createCustomer.customer.id);
    examples.set({ id: created.at(-1), newEmail: newEmail() });
  } else if (data.deleteCustomer?.deletedCustomerId) {
    created = created.filter(id => id !== data.deleteCustomer.deletedCustomerId);
    await refresh();
  } else if (name === 'FirstPage' && data.customers?.pageInfo?.endCursor) {
    examples.set({ cursor: data.customers.pageInfo.endCursor });
  }
}
