// Swagger UI has a dark look, but leaves choosing it to the page.
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
paint();
dark.addEventListener('change', paint);

// Swagger UI leaves these without a name, which a screen reader needs.
const names = [
  ['textarea.body-param__text', 'Request body'],
  ['.examples-select-element', 'Example'],
  ['.content-type', 'Media type'],
];
const label = () => {
  for (const [selector, text] of names) {
    for (const element of document.querySelectorAll(`${selector}:not([aria-label])`)) element.setAttribute('aria-label', text);
  }
};
new MutationObserver(label).observe(document.getElementById('docs'), { childList: true, subtree: true });

// A development server names its demo key; elsewhere Authorize asks for one. Either way it stays in this page's memory.
const key = document.querySelector('meta[name="lumen-key"]').content;

const ui = SwaggerUIBundle({
  dom_id: '#docs',
  url: document.querySelector('a[href$="/openapi.json"]').href, // below the server's base path, if it has one
  validatorUrl: null, // else the document would be sent to a validator elsewhere
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  onComplete: () => {
    if (key) ui.preauthorizeApiKey('apiKey', key);
  },
});
