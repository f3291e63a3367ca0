// Who is signed in. The key is kept here, in memory, and is gone with the tab.
import { base } from './base.js';
import { createStore } from './store.js';

const meta = name => document.querySelector(`meta[name="${name}"]`)?.content;

let key = null;
export const session = createStore({ merchant: null, demo: false });

// send runs one operation with the key, unless the headers bring an Authorization of their own.
export async function send(params, headers) {
  const all = new Headers({ 'Content-Type': 'application/json', Accept: 'application/json' });
  if (key) all.set('Authorization', `Bearer ${key}`);
  for (const [name, value] of Object.entries(headers ?? {})) all.set(name, value);
  const response = await fetch(`${base}/graphql`, {
    method: 'POST', headers: all, body: JSON.stringify(params), cache: 'no-store', credentials: 'omit',
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`The server answered ${response.status} ${response.statusText}`);
  }
}

// signIn keeps the key if the server takes it, and throws what it said otherwise.
export async function signIn(candidate, demo = false) {
  const before = key;
  key = candidate;
  try {
    const result = await send({ query: '{ merchant { id name } }' });
    if (!result.data) throw new Error(result.errors?.[0]?.message ?? 'The server did not answer');
    session.set({ merchant: result.data.merchant, demo });
  } catch (error) {
    key = before;
    throw error;
  }
}

export function signOut() {
  key = null;
  session.set({ merchant: null, demo: false });
}

// signInAsDemo uses the key of the demo merchant where the server offers it, in development.
export async function signInAsDemo() {
  const address = meta('lumen-config');
  if (!address) return;
  try {
    const { apiKey } = await (await fetch(address, { cache: 'no-store' })).json();
    await signIn(apiKey, true);
  } catch {
    // Then the page asks for a key, as it does everywhere else.
  }
}

// fetchSchema returns the schema's text. It comes with the page, so it needs no key and no introspection.
export const fetchSchema = async () => (await fetch(meta('lumen-schema'))).text();
