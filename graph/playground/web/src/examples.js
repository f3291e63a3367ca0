// What the prepared variables are filled with, so that each operation runs as it stands: real cursors and addresses of the
// merchant that is signed in. The id that is changed and deleted is real only where nothing can be lost: a customer of
// the demo merchant's, or one that was created here.
import { send, session } from './session.js';
import { createStore } from './store.js';

const nobody = 'cust_00000000000000000000000000';
const newEmail = () => `jane.${Math.random().toString(36).slice(2, 8)}@example.com`;

export const examples = createStore({ id: nobody, email: 'ada.lovelace@example.com', cursor: null, newEmail: newEmail() });

const prepared = new Set();

// prepare returns an operation's variables as text.
export function prepare(operation) {
  const text = JSON.stringify(operation.variables(examples.get()), null, 2);
  prepared.add(text);
  return text;
}

// isPrepared tells text that nobody has edited.
export const isPrepared = text => prepared.has(text);

// refresh reads the examples of the merchant that is signed in.
export async function refresh() {
  const { merchant, demo } = session.get();
  if (!merchant) {
    examples.set({ id: nobody, cursor: null });
    return;
  }
  const { data } = await send({ query: '{ customers(first: 5) { nodes { id email } pageInfo { endCursor } } }' });
  const [newest, second] = data?.customers.nodes ?? [];
  if (!newest) return;
  // Find and duplicate keep an address that is still there when the newest customer was deleted.
  examples.set({ id: demo ? newest.id : nobody, email: (second ?? newest).email, cursor: data.customers.pageInfo.endCursor });
}

// learn takes from a result what the next operations can use.
export async function learn(name, result) {
  const data = result.data ?? {};
  if (data.createCustomer?.customer) {
    examples.set({ id: data.createCustomer.customer.id, newEmail: newEmail() });
  } else if (data.deleteCustomer?.deletedCustomerId) {
    await refresh();
  } else if (name === 'FirstPage' && data.customers?.pageInfo?.endCursor) {
    examples.set({ cursor: data.customers.pageInfo.endCursor });
  }
}
