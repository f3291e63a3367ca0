// The REST request for an operation, as a command that sh, bash and zsh run alike.
import { base } from './base.js';

const quoted = text => `'${text.replaceAll("'", `'\\''`)}'`;

// curl returns the command, null when REST has no such request or the variables are not JSON.
export function curl(operation, variables) {
  let request;
  try {
    request = operation.rest(JSON.parse(variables || '{}'));
  } catch {
    return null;
  }
  if (!request) return null;
  const lines = [`curl ${request.method === 'DELETE' ? '-X DELETE ' : ''}${quoted(location.origin + base + request.path)}`];
  lines.push('-H "Authorization: Bearer $LUMEN_KEY"');
  if (request.body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(request.body))}`);
  }
  return lines.join(' \\\n  ');
}
