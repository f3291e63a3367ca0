// The merchant that is signed in. The keys are kept in memory and are gone with the tab.
import { base } from './base.js';
import { storage } from './memory.js';
import { createStore } from './store.js';

const meta = name => document.querySelector(`meta[name="${name}"]`)?.content;

let key = null;
const demoKeys = new Map(); // by the id of the demo merchant

// merchant is signed in, null without a key. merchants are the demo merchants, and demo tells whether
// merchant is one of them.
export const session = createStore({ merchant: null, demo: false, merchants: [] });

// send runs one operation with the key, unless the headers bring an Authorization of their own.
export async function send(params, headers, as = key) {
  const all = new Headers({ 'Content-Type': 'application/json', Accept: 'application/json' });
  if (as) all.set('Authorization', `Bearer ${as}`);
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

let attempts = 0;

// cancelSignIn ends an attempt to sign in without effect.
export function cancelSignIn() { attempts++; }

// signIn takes over the key if the server accepts it, and throws the server's message otherwise. It
// returns false, and does nothing, if the attempt was canceled or another one has begun meanwhile.
export async function signIn(candidate) {
  const attempt = ++attempts;
  const result = await send({ query: '{ merchant { id name } }' }, {}, candidate);
  if (attempt !== attempts) return false;
  if (!result.data) throw new Error(result.errors?.[0]?.message ?? 'The server did not answer');
  key = candidate;
  const { merchant } = result.data;
  session.set({ merchant, demo: demoKeys.has(merchant.id) });
  return true;
}

// signInAs signs in as a demo merchant, as signIn does. A reload of the page keeps the choice.
export async function signInAs(id) {
  const isSignedIn = await signIn(demoKeys.get(id));
  if (isSignedIn) storage.setItem('lumen:merchant', id);
  return isSignedIn;
}

// signInAsDemo signs in with the key of a demo merchant where the server offers it, in development.
export async function signInAsDemo() {
  const address = meta('lumen-config');
  if (!address) return;
  try {
    const { merchants } = await (await fetch(address, { cache: 'no-store' })).json();
    for (const { id, apiKey } of merchants) demoKeys.set(id, apiKey);
    session.set({ merchants: merchants.map(({ id, name }) => ({ id, name })) });
    const chosen = storage.getItem('lumen:merchant');
    await signIn(demoKeys.get(chosen) ?? merchants[0].apiKey);
  } catch {
    // Then the page asks for a key, as it does on other servers.
  }
}

// fetchSchema returns the schema's text, which needs neither a key nor introspection.
export const fetchSchema = async () => (await fetch(meta('lumen-schema'))).text();
