// A phone shows this form in place of GraphiQL: pick an operation, edit it, run it, read the result.
import { useEffect, useState } from 'react';
import { Equivalent } from './equivalent.jsx';
import { examples, isUntouched, learn, markRun, newExample, prepare } from './examples.js';
import { storage, stored } from './memory.js';
import { operationNamed, operations } from './operations.js';
import { send, session } from './session.js';

// startingForm returns the form as a reload of the page left it, or else the first operation.
function startingForm() {
  const kept = stored('lumen:form');
  const operation = operationNamed(kept?.name);
  return operation
    ? { operation, query: String(kept.query), variables: String(kept.variables) }
    : { operation: operations[0], query: operations[0].query, variables: prepare(operations[0]) };
}

export function Narrow({ ready }) {
  const at = examples.use();
  const [form, setForm] = useState(startingForm);
  const [reply, setReply] = useState(null); // the text, and the request that it is for
  const [busy, setBusy] = useState(true);
  const { operation, query, variables } = form;
  const change = part => setForm(before => ({ ...before, ...part }));
  useEffect(() => { ready.finally(() => setBusy(false)); }, [ready]);
  useEffect(() => {
    storage.setItem('lumen:form', JSON.stringify({ name: operation.name, query, variables }));
  }, [form]);
  useEffect(() => {
    if (isUntouched(operation, variables)) change({ variables: prepare(operation) });
  }, [at]);

  const pick = event => {
    const picked = operationNamed(event.target.value);
    setForm({ operation: picked, query: picked.query, variables: prepare(picked) });
    setReply(null);
  };
  const run = async event => {
    event.preventDefault();
    setBusy(true);
    const request = { operation, variables, merchant: session.get().merchant };
    try {
      const params = { query, variables: JSON.parse(variables || '{}') };
      markRun(operation.name);
      const answer = await send(params);
      setReply({ text: JSON.stringify(answer, null, 2), request });
      await learn(operation.name, answer);
    } catch (error) {
      setReply({ text: error instanceof SyntaxError ? 'The variables are not JSON.' : error.message, request });
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="narrow" onSubmit={run}>
      <label htmlFor="operation">Operation</label>
      <select id="operation" value={operation.name} onChange={pick}>
        {operations.map(o => <option key={o.name} value={o.name}>{o.title}</option>)}
      </select>
      <label htmlFor="query">Query</label>
      <textarea id="query" value={query} onChange={e => change({ query: e.target.value })} rows={lines(query)} {...plainText} />
      <label htmlFor="variables">Variables</label>
      <textarea id="variables" value={variables} onChange={e => change({ variables: e.target.value })} rows={lines(variables)} {...plainText} />
      <button type="submit" className="primary" disabled={busy}>Run</button>
      <h2 id="result">Result</h2>
      <pre className="result" role="status" aria-labelledby="result" tabIndex={0}>{reply?.text ?? 'Nothing was run yet.'}</pre>
      <Equivalent
        request={reply?.request ?? { operation, variables }}
        onNewExample={operation.query.includes('$')
          && (async () => change({ variables: await newExample(operation) }))}
      />
      <p className="plain">A wider window shows GraphiQL, with documentation, completion, tabs, headers and a history.</p>
    </form>
  );
}

const plainText = { autoCapitalize: 'off', autoCorrect: 'off', autoComplete: 'off', spellCheck: false };
const lines = text => Math.min(text.split('\n').length + 1, 18);
