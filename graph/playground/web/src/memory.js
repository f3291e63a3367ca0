// The storage that GraphiQL is given. Of all that it would keep, only the theme outlives the page: queries, variables and
// headers can hold what belongs to nobody else.
const lasting = 'graphiql:theme';
const kept = new Map();

function browser(use) {
  try {
    return use(localStorage);
  } catch {
    return null; // storage is turned off
  }
}

export const memory = {
  get length() { return kept.size; },
  getItem: name => (name === lasting ? browser(s => s.getItem(name)) : kept.get(name) ?? null),
  setItem(name, value) {
    if (name === lasting) browser(s => s.setItem(name, value));
    else kept.set(name, value);
  },
  removeItem(name) {
    if (name === lasting) browser(s => s.removeItem(name));
    kept.delete(name);
  },
  clear() {
    browser(s => s.removeItem(lasting));
    kept.clear();
  },
};
