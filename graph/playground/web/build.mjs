// Bundles the playground into ../dist: a template of the page, and assets whose names hold a hash of
// their content. Libraries from the lock file compress them, so that every Node version writes the
// same bytes.
import { build } from 'esbuild';
import { gzipSync } from 'fflate';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const brotli = createRequire(import.meta.url)('brotli-wasm'); // imported, it would be the build for browsers
const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, '..', 'dist');
const inputs = new Set();

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  legalComments: 'none', // the licenses are collected below
  charset: 'utf8',
  target: 'es2022',
  outdir: '/out',
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  define: { 'process.env.NODE_ENV': '"production"' },
  logLevel: 'warning',
};

// run returns the files of a bundle by name, and the name that each entry was given.
async function run(options) {
  const result = await build({ ...common, ...options });
  const files = Object.fromEntries(result.outputFiles.map(f => [basename(f.path), f.contents]));
  const entries = {};
  for (const [path, output] of Object.entries(result.metafile.outputs)) {
    Object.keys(output.inputs).forEach(input => inputs.add(input));
    if (output.entryPoint) entries[output.entryPoint] = basename(path);
  }
  return { files, entries };
}

const workers = await run({
  format: 'iife',
  entryPoints: {
    editor: 'node_modules/monaco-editor/esm/vs/editor/editor.worker.js',
    json: 'node_modules/monaco-editor/esm/vs/language/json/json.worker.js',
    graphql: 'node_modules/monaco-graphql/esm/graphql.worker.js',
  },
});
const worker = path => JSON.stringify('./' + workers.entries['node_modules/' + path]);

// Chunks' styles are not loaded with them, so Monaco's come from explorer.css.
const withoutMonacoStyles = {
  name: 'without-monaco-styles',
  setup(b) {
    b.onLoad({ filter: /monaco-editor[\\/]esm[\\/].*\.css$/ }, () => ({ contents: '', loader: 'empty' }));
  },
};
const scripts = await run({
  format: 'esm',
  splitting: true,
  jsx: 'automatic',
  loader: { '.graphql': 'text' },
  entryPoints: { playground: 'src/main.jsx' },
  plugins: [withoutMonacoStyles],
  define: {
    ...common.define,
    EDITOR_WORKER: worker('monaco-editor/esm/vs/editor/editor.worker.js'),
    JSON_WORKER: worker('monaco-editor/esm/vs/language/json/json.worker.js'),
    GRAPHQL_WORKER: worker('monaco-graphql/esm/graphql.worker.js'),
  },
});
const looks = await run({
  entryPoints: { page: 'src/page.css', explorer: 'src/explorer.css', icon: 'src/icon.svg' },
  loader: { '.ttf': 'dataurl', '.svg': 'copy' },
});
const entries = { ...scripts.entries, ...looks.entries };
const files = { ...workers.files, ...scripts.files, ...looks.files };

const licenses = await collectLicenses();
const licensesName = `licenses-${createHash('sha256').update(licenses).digest('hex').slice(0, 8)}.txt`;
files[licensesName] = Buffer.from(licenses);

const names = {
  SCRIPT: entries['src/main.jsx'],
  PAGE_STYLE: entries['src/page.css'],
  EXPLORER_STYLE: entries['src/explorer.css'],
  ICON: Object.keys(files).find(name => name.startsWith('icon-')),
  LICENSES: licensesName,
};
const page = (await readFile(join(here, 'src/index.html'), 'utf8'))
  .replace(/%([A-Z_]+)%/g, (_, name) => '{{.BasePath}}/playground/assets/' + names[name]);

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, 'assets'), { recursive: true });
await writeFile(join(dist, 'index.html'), page);
for (const [name, contents] of Object.entries(files)) {
  await writeFile(join(dist, 'assets', name + '.br'), brotli.compress(contents, { quality: 11 }));
  await writeFile(join(dist, 'assets', name + '.gz'), gzipSync(contents, { level: 9, mtime: 0 }));
}

// collectLicenses returns the license texts of the packages that something was bundled from.
async function collectLicenses() {
  const packages = new Set();
  for (const input of inputs) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) packages.add(match[1]);
  }
  const texts = [];
  for (const folder of [...packages].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(here, folder, 'package.json'), 'utf8'));
    const file = (await readdir(join(here, folder))).sort().find(f => /^(licen[cs]e|copying)/i.test(f));
    const text = file && existsSync(join(here, folder, file)) ? await readFile(join(here, folder, file), 'utf8') : `License: ${license}\n`;
    texts.push(`${name} ${version}\n\n${text.trim()}\n`);
  }
  return texts.join('\n' + '-'.repeat(80) + '\n\n');
}
