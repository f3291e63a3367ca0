// Swagger UI has a dark look but does not choose it by itself.
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
paint();
dark.addEventListener('change', paint);

// Screen readers need these attributes. Swagger UI leaves them out or has others.
const attributes = [
  ['textarea.body-param__text', { 'aria-label': 'Request body' }],
  ['.examples-select-element', { 'aria-label': 'Example' }],
  ['.content-type', { 'aria-label': 'Media type' }],
  ['.information-container', { role: 'region', 'aria-label': 'About the API' }],
  ['.scheme-container', { role: 'region', 'aria-label': 'Authorization' }],
  ['h3.opblock-tag, .models > h4', { 'aria-level': '2' }], // the heading before is of level 1
  ['.opblock-body h4', { 'aria-level': '3' }],
  ['.opblock-body h5', { 'aria-level': '4' }],
  ['.modal-ux-header > h3', { 'aria-level': '2' }],
  ['.modal-ux h4', { 'aria-level': '3' }],
  ['.modal-ux h6', { 'aria-level': '4' }],
  ['.close-modal', { 'aria-label': 'Close' }],
  ['[aria-label="Remove authorization"]', { 'aria-label': 'Logout' }], // the text of the button
  ['[aria-label="Apply credentials"]', { 'aria-label': 'Authorize' }],
];
const describe = () => {
  for (const [selector, values] of attributes) {
    for (const element of document.querySelectorAll(selector)) {
      for (const [name, value] of Object.entries(values)) {
        if (element.getAttribute(name) !== value) element.setAttribute(name, value);
      }
    }
  }
};
new MutationObserver(describe).observe(document.getElementById('docs'), { childList: true, subtree: true });

// The description of the API is long. Folded, it leaves the page to begin with the routes.
const foldDescription = ({ React }) => ({
  wrapComponents: {
    Markdown: (Original, { specSelectors }) => props => {
      const text = React.createElement(Original, props);
      if (props.source !== specSelectors.info().get('description')) return text;
      return React.createElement('details', { className: 'conventions' },
        React.createElement('summary', null, 'Conventions of all routes'), text);
    },
  },
});

const ui = SwaggerUIBundle({
  dom_id: '#docs',
  url: document.querySelector('a[href$="/openapi.json"]').href, // below the server's base path, if it has one
  validatorUrl: null, // otherwise Swagger UI sends the document to a validator on the internet
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  plugins: [foldDescription],
  onComplete: signIn,
});

// signIn signs in with the key of the demo merchant chosen, on a development server. Other servers
// have the reader choose Authorize. The key stays in this page's memory.
function signIn() {
  const choice = document.getElementById('merchant');
  if (!choice) return;
  const stored = 'lumen:merchant'; // the id, which the pages share as long as the browser's tab is open
  try {
    choice.value = sessionStorage.getItem(stored) ?? choice.value;
  } catch {
    // Storage is turned off.
  }
  if (choice.selectedIndex < 0) choice.selectedIndex = 0; // a merchant of data that was reset since
  const use = () => {
    const merchant = choice.selectedOptions[0];
    ui.preauthorizeApiKey('apiKey', merchant.dataset.key);
    document.querySelector('.session strong').textContent = merchant.label;
    document.querySelector('.session p').hidden = false;
  };
  choice.addEventListener('change', () => {
    try {
      sessionStorage.setItem(stored, choice.value);
    } catch {
      // The choice then holds for this page only.
    }
    use();
  });
  choice.parentElement.hidden = false;
  use();
}
