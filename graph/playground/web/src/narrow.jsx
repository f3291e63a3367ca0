// What a phone gets in place of GraphiQL: pick an operation, edit it, run it, read the result.
import { useEffect, useState } from 'react';
import { Equivalent } from './equivalent.jsx';
import { examples, isPrepared, learn, prepare } from './examples.js';
import { operationNamed, operations } from './operations.js';
import { send } from './session.js';

export function Narrow({ ready }) {
  const at = examples.use();
  const [operation, setOperation] = useState(operations[0]);
  const [query, setQuery] = useState(operations[0].query);
  const [variables, setVariables] = useState(() => prepare(operations[0]));
  const [result, setResult] = useState('');
  const [busy, setBusy] = useState(true);
  useEffect(() => { ready.finally(() => setBusy(false)); }, [ready]);

  // What was just run stays as it was run.
  useEffect(() => {
    if (!result && isPrepared(variables)) setVariables(prepare(operation));
  }, [at]);

  const pick = event => {
    const picked = operationNamed(event.target.value);
    setOperation(picked);
    setQuery(picked.query);
    setVariables(prepare(picked));
    setResult('');
  };
  const run = async event => {
    event.preventDefault();
    setBusy(true);
    try {
      const answer = await send({ query, variables: JSON.parse(variables || '{}') });
      setResult(JSON.stringify(answer, null, 2));
      await learn(operation.name, answer);
    } catch (error) {
      setResult(error instanceof SyntaxError ? 'The variables are not JSON.' : error.message);
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
      <textarea id="query" value={query} onChange={e => setQuery(e.target.value)} rows={lines(query)} {...plainText} />
      <label htmlFor="variables">Variables</label>
      <textarea id="variables" value={variables} onChange={e => setVariables(e.target.value)} rows={lines(variables)} {...plainText} />
      <button type="submit" className="primary" disabled={busy}>Run</button>
      <h2 id="result">Result</h2>
      <pre className="result" role="status" aria-labelledby="result" tabIndex={0}>{result || 'Nothing was run yet.'}</pre>
      <Equivalent operation={operation} variables={variables} />
      <p className="plain">A wider window has the whole of GraphiQL: documentation, completion, tabs and headers.</p>
    </form>
  );
}

const plainText = { autoCapitalize: 'off', autoCorrect: 'off', autoComplete: 'off', spellCheck: false };
const lines = text => Math.min(text.split('\n').length + 1, 18);
