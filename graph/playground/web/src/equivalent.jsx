// The REST request that does the same as an operation, as a command to copy.
import { useRef, useState } from 'react';
import { base } from './base.js';
import { curl } from './rest.js';

// Equivalent shows the command for a request: an operation with its variables, and the merchant that
// it was sent for, null before it was sent. onNewExample replaces the variables of the operation
// that is being edited.
export function Equivalent({ request: { operation, variables, merchant }, onNewExample }) {
  const text = useRef(null);
  const [copied, setCopied] = useState(false);
  const command = operation && curl(operation, variables);

  const copy = async () => {
    getSelection().selectAllChildren(text.current);
    try {
      await navigator.clipboard.writeText(command); // only where the page came over TLS or from this machine
      setCopied(true);
      setTimeout(setCopied, 1500, false);
    } catch {
      // The text is selected, so that a keystroke copies it.
    }
  };
  return (
    <section className="equivalent" aria-label="The same over REST">
      <div className="equivalent-head">
        <h2>The same over REST</h2>
        <span className="buttons">
          {onNewExample && (
            <button type="button" onClick={onNewExample} title="Replace the variables with unused ones">New example</button>
          )}
          {command && <button type="button" onClick={copy}>{copied ? 'Copied' : 'Copy'}</button>}
        </span>
      </div>
      {command && <pre tabIndex={0} ref={text}>{command}</pre>}
      <p>
        {merchant && `As in the reply shown, for ${merchant.name}. `}
        {command
          ? <>Needs <code>export LUMEN_KEY=lumen_sk_…</code> once; see the <a href={`${base}/`}>start page</a>.</>
          : whyNone(operation, variables)}
      </p>
    </section>
  );
}

function whyNone(operation, variables) {
  if (!operation) return 'Only the prepared operations have a REST command.';
  return operation.name === 'WhoAmI' || !variables ? 'REST has no route for this.' : 'The variables are not JSON.';
}
