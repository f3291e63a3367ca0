// Copies commands and, on a development server, switches between the demo merchants and shows the
// customers of the one chosen.

for (const pre of document.querySelectorAll('pre')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', `Copy: ${pre.getAttribute('aria-label')}`);
  button.addEventListener('click', async () => {
    getSelection().selectAllChildren(pre); // stays selected where the clipboard is out of reach
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    } catch {
      // Browsers give the clipboard only to pages that came over TLS or from this machine.
    }
  });
  const frame = document.createElement('div');
  frame.className = 'command';
  pre.replaceWith(frame);
  frame.append(pre, button);
}

const choice = document.getElementById('merchant');
if (choice) showMerchants(choice, document.getElementById('live'));

function showMerchants(choice, live) {
  const merchants = [...choice.options];
  let round = 0; // replies of an earlier round are dropped
  choice.value = chosen() ?? choice.value;
  if (choice.selectedIndex < 0) choice.selectedIndex = 0; // a merchant of data that was reset since
  choice.parentElement.hidden = false;
  choice.addEventListener('change', () => {
    keep(choice.value);
    show();
  });
  // The count is current when the reader comes back, for example from the playground.
  addEventListener('visibilitychange', () => { if (!document.hidden) show(); });
  addEventListener('pageshow', event => { if (event.persisted) show(); });
  show();

  async function show() {
    const mine = ++round;
    const merchant = choice.selectedOptions[0];
    document.getElementById('key').textContent = merchant.dataset.key;
    for (const element of live.querySelectorAll('[data-name]')) element.textContent = merchant.label;
    try {
      const own = await send(merchant, '{ customers(first: 5) { totalCount nodes { id name email } } }');
      const newest = own.customers.nodes;
      const id = newest[0]?.id ?? 'cust_none';
      const replies = await Promise.all(merchants.map(other => send(other,
        'query($id: ID!) { customer(id: $id) { name } customers(first: 1) { totalCount } }', { id })));
      if (mine !== round) return;
      document.getElementById('count').textContent =
        newest.length ? `${total(own)}. The newest are these:` : `${total(own)}.`;
      fill('newest', newest.map(c => [c.name ?? '–', c.email, code(c.id)]));
      fill('isolation', merchants.map((other, i) => [
        other.label, String(replies[i].customers.totalCount), replies[i].customer ? 'The customer' : 'Not found',
      ]));
      live.hidden = false;
    } catch {
      live.hidden = true; // for example when GraphQL executes trusted documents only
    }
  }

  async function send(merchant, query, variables) {
    const response = await fetch(live.dataset.graphql, {
      method: 'POST',
      headers: { Authorization: `Bearer ${merchant.dataset.key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()).data;
  }
}

function total({ customers: { totalCount } }) {
  return totalCount === 1 ? '1 customer' : `${totalCount} customers`;
}

function code(text) {
  const element = document.createElement('code');
  element.textContent = text;
  return element;
}

function fill(table, rows) {
  document.querySelector(`#${table} tbody`).replaceChildren(...rows.map(cells => {
    const row = document.createElement('tr');
    for (const cell of cells) row.insertCell().append(cell);
    return row;
  }));
}

// The pages share the choice of the merchant, by its id, as long as the browser's tab is open.
function chosen() {
  try {
    return sessionStorage.getItem('lumen:merchant');
  } catch {
    return null; // storage is turned off
  }
}

function keep(id) {
  try {
    sessionStorage.setItem('lumen:merchant', id);
  } catch {
    // The choice then holds for this page only.
  }
}
