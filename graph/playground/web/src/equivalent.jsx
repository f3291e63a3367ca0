// The same thing over REST, as a command to copy.
import { useRef, useState } from 'react';
import { curl } from './rest.js';

export function Equivalent({ operation, variables }) {
  const text = useRef(null);
  const [copied, setCopied] = useState(false);
  if (!operation) return null;
  const command = curl(operation, variables);

  const copy = async () => {
    getSelection().selectAllChildren(text.current);
    try {
      await navigator.clipboard.writeText(command); // only where the page came over TLS or from this machine
      setCopied(true);
      setTimeout(setCopied, 1500, false);
    } catch {
      // It is selected, and a key away from being copied.
    }
  };
  return (
    <section className="equivalent" aria-label="The same over REST">
      <div className="equivalent-head">
        <h2>The same over REST</h2>
        {command && <button type="button" onClick={copy}>{copied ? 'Copied' : 'Copy'}</button>}
      </div>
      {command
        ? <pre tabIndex={0} ref={text}>{command}</pre>
        : <p>{variables && operation.name !== 'WhoAmI' ? 'Shown again when the variables are JSON.' : 'REST has no route for this.'}</p>}
    </section>
  );
}
