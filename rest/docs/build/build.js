// Makes ../site, which is committed and embedded, from ./page and the Swagger UI of the lock file.
// Names carry a digest of the content, so that browsers can cache the files without revalidation.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';

const site = '../site';
const vendor = 'node_modules/swagger-ui-dist';
const assets = [`${vendor}/swagger-ui-bundle.js`, `${vendor}/swagger-ui.css`, 'page/docs.js', 'page/docs.css', 'page/icon.svg'];

process.chdir(import.meta.dirname);
rmSync(site, { recursive: true, force: true });
mkdirSync(`${site}/assets`, { recursive: true });

let index = readFileSync('page/index.html', 'utf8');
for (const path of assets) {
  const content = readFileSync(path, 'utf8')
    .replace(/\n?(\/\/|\/\*)# sourceMappingURL=.*\n?$/, '\n') // not served
    .replaceAll(/font-family:(Open Sans,|Titillium Web,)?sans-serif/g, 'font-family:system-ui,sans-serif'); // the font of all pages
  const extension = extname(path);
  const digest = createHash('sha256').update(content).digest('hex').slice(0, 12);
  const name = `${basename(path, extension)}-${digest}${extension}`;
  writeFileSync(`${site}/assets/${name}`, content);
  if (!index.includes(`"${basename(path)}"`)) throw new Error(`page/index.html does not use ${basename(path)}`);
  index = index.replaceAll(`"${basename(path)}"`, `"{{.BasePath}}/docs/assets/${name}"`);
}
writeFileSync(`${site}/index.html`, index);
for (const name of ['LICENSE', 'NOTICE', 'swagger-ui-bundle.js.LICENSE.txt']) copyFileSync(`${vendor}/${name}`, `${site}/${name}`);
