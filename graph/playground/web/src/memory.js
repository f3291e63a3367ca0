// The storage of the page. The theme outlives the tab. The tabs, the history, the form
// of a narrow screen and the choice of the demo merchant last as long as the tab. The rest, such as
// headers, stays in memory. No credential is ever stored.
const lasting = {
  'graphiql:theme': () => localStorage,
  'graphiql:tabState': () => sessionStorage,
  'graphiql:queries': () => sessionStorage, // the history
  'graphiql:favorites': () => sessionStorage,
  'lumen:form': () => sessionStorage,
  'lumen:merchant': () => sessionStorage,
};
const memory = new Map();

// attempt returns null where the browser's storage is turned off or full.
function attempt(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

const credential = /lumen_sk_\w+|eyJ[\w-]+\.[\w-]+\.[\w-]+/g; // API keys, and access tokens

// withoutSecrets removes headers, and the credentials that a query or its variables mention.
function withoutSecrets(text) {
  const harmless = attempt(() => JSON.stringify(JSON.parse(text), (name, value) => (name === 'headers' ? '' : value)));
  return (harmless ?? text).replace(credential, '…');
}

export const storage = {
  get length() { return memory.size; },
  getItem: name => (lasting[name] ? attempt(() => lasting[name]().getItem(name)) : memory.get(name) ?? null),
  setItem(name, value) {
    if (lasting[name]) attempt(() => lasting[name]().setItem(name, withoutSecrets(value)));
    else memory.set(name, value);
  },
  removeItem(name) {
    if (lasting[name]) attempt(() => lasting[name]().removeItem(name));
    else memory.delete(name);
  },
  clear() {
    Object.keys(lasting).forEach(storage.removeItem);
    memory.clear();
  },
};

// stored returns a value that was stored as JSON, null without one.
export const stored = name => attempt(() => JSON.parse(storage.getItem(name)));
