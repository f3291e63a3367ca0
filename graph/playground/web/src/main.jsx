// The page: a bar, and below it GraphiQL or, on a narrow screen, a form.
import { lazy, Suspense, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import { Bar } from './bar.jsx';
import { Narrow } from './narrow.jsx';
import { refresh } from './examples.js';
import { fetchSchema, signInAsDemo } from './session.js';

const wide = matchMedia('(min-width: 700px)');
const watchWidth = listener => {
  wide.addEventListener('change', listener);
  return () => wide.removeEventListener('change', listener);
};

// GraphiQL reads its variables once, when it starts, so they must be ready by then.
const ready = signInAsDemo().then(refresh);
const Explorer = lazy(async () => {
  const [{ createExplorer }, schema] = await Promise.all([import('./explorer.jsx'), fetchSchema(), ready]);
  return { default: createExplorer(schema) };
});

function Page() {
  const isWide = useSyncExternalStore(watchWidth, () => wide.matches);
  return (
    <>
      <Bar />
      <main>
        <h1 className="unseen">Playground</h1>
        {isWide ? <Suspense fallback={<p className="plain">Loading…</p>}><Explorer /></Suspense> : <Narrow ready={ready} />}
      </main>
    </>
  );
}

createRoot(document.getElementById('app')).render(<Page />);
