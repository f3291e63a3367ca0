// The path in front of all of the server's own, without a slash at its end. This file is served below
// BASE/playground/assets/.
export const base = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');
