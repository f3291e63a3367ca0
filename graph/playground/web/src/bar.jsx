// The bar: where to go, and who is signed in.
import { useState } from 'react';
import { base } from './base.js';
import { refresh } from './examples.js';
import { session, signIn, signOut } from './session.js';

export function Bar() {
  return (
    <header className="bar">
      <a className="brand" href={`${base}/`}><span className="mark" aria-hidden="true" />Lumen</a>
      <nav aria-label="Lumen">
        <a href={`${base}/playground`} aria-current="page">Playground</a>
        <a href={`${base}/docs`}>REST reference</a>
      </nav>
      <Session />
    </header>
  );
}

function Session() {
  const { merchant, demo } = session.use();
  if (!merchant) return <KeyForm />;
  return (
    <div className="session">
      <span title={merchant.id}>
        Signed in as <strong>{merchant.name}</strong>{demo && ', the demo merchant'}
      </span>
      <button type="button" onClick={() => { signOut(); refresh(); }}>Use another key</button>
    </div>
  );
}

// KeyForm's field is not of type password: browsers offer to save those.
function KeyForm() {
  const [state, setState] = useState({ fault: '', busy: false });
  const submit = async event => {
    event.preventDefault();
    const field = event.currentTarget.elements.key;
    setState({ fault: '', busy: true });
    try {
      await signIn(field.value.trim());
      field.value = '';
      await refresh();
    } catch (error) {
      setState({ fault: error.message === 'Unauthorized' ? 'The server does not know this key.' : error.message, busy: false });
    }
  };
  return (
    <form className="session" onSubmit={submit} autoComplete="off">
      <span id="key-note" role="status">{state.fault || 'Kept in this tab’s memory only.'}</span>
      <input
        name="key" className="secret" aria-label="API key" aria-describedby="key-note" placeholder="API key"
        autoComplete="off" autoCapitalize="off" autoCorrect="off" spellCheck="false" required
      />
      <button type="submit" disabled={state.busy}>Sign in</button>
    </form>
  );
}
