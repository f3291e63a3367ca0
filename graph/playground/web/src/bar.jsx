// The bar: links to the other pages, and who is signed in.
import { useState } from 'react';
import { base } from './base.js';
import { refresh } from './examples.js';
import { cancelSignIn, session, signIn, signInAs } from './session.js';

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
  const { merchant, merchants } = session.use();
  const [asks, setAsks] = useState(false);
  const [asked, setAsked] = useState(false); // then the focus returns to the button
  if (!merchant || asks) {
    const close = () => { setAsks(false); setAsked(true); };
    return <KeyForm close={close} cancelable={merchant !== null} />;
  }
  return (
    <div className="session">
      {merchants.length > 0
        ? <Merchants merchant={merchant} merchants={merchants} />
        : <span title={merchant.id}>Signed in as <strong>{merchant.name}</strong></span>}
      <button type="button" autoFocus={asked} onClick={() => setAsks(true)}>Use another key</button>
    </div>
  );
}

// Merchants switches between the demo merchants. A merchant whose key was entered is listed too.
function Merchants({ merchant, merchants }) {
  const [fault, setFault] = useState('');
  const all = merchants.some(m => m.id === merchant.id) ? merchants : [...merchants, merchant];
  const pick = async event => {
    setFault('');
    try {
      if (await signInAs(event.target.value)) await refresh();
    } catch (error) {
      setFault(error.message);
    }
  };
  return (
    <label>
      {fault && <span role="alert">{fault} </span>}
      Signed in as <select id="merchant" value={merchant.id} onChange={pick}>
        {all.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
      </select>
    </label>
  );
}

// KeyForm's field is not of type password: browsers offer to save those.
function KeyForm({ close, cancelable }) {
  const cancel = () => { cancelSignIn(); close(); };
  const [state, setState] = useState({ fault: '', busy: false });
  const submit = async event => {
    event.preventDefault();
    const field = event.currentTarget.elements.key;
    setState({ fault: '', busy: true });
    try {
      if (!await signIn(field.value.trim())) return;
      field.value = '';
      close();
      await refresh();
    } catch (error) {
      setState({ fault: error.message === 'Unauthorized' ? 'Invalid key.' : error.message, busy: false });
    }
  };
  return (
    <form className="session" onSubmit={submit} onKeyDown={e => cancelable && e.key === 'Escape' && cancel()} autoComplete="off">
      <span id="key-note" role="status">{state.fault || 'Kept in this tab’s memory only.'}</span>
      <input
        name="key" className="secret" aria-label="API key" aria-describedby="key-note" placeholder="API key" autoFocus={cancelable}
        autoComplete="off" autoCapitalize="off" autoCorrect="off" spellCheck="false" required
      />
      <button type="submit" disabled={state.busy}>Sign in</button>
      {cancelable && <button type="button" onClick={cancel}>Cancel</button>}
    </form>
  );
}
