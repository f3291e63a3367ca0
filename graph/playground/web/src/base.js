// The base path of the server, without a trailing slash. This file is served below
// BASE/playground/assets/.
export const base = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');
