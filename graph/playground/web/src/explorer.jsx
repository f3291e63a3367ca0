// GraphiQL, filled with the prepared operations.
import { Kind, buildSchema, parse } from 'graphql';
import { GraphiQL } from 'graphiql';
import { pick, useGraphiQL } from '@graphiql/react';
import { DOC_EXPLORER_PLUGIN } from '@graphiql/plugin-doc-explorer';
import { useEffect, useState } from 'react';
import { Equivalent } from './equivalent.jsx';
import { examples, isUntouched, learn, markRun, newExample, prepare } from './examples.js';
import { storage, stored } from './memory.js';
import { operationNamed, operations } from './operations.js';
import { send, session } from './session.js';
import { createStore } from './store.js';
import { describeHistory, describeTabs } from './accessibility.js';

/* global EDITOR_WORKER, JSON_WORKER, GRAPHQL_WORKER */
globalThis.MonacoEnvironment = {
  getWorker: (_, label) => {
    const file = { json: JSON_WORKER, graphql: GRAPHQL_WORKER }[label] ?? EDITOR_WORKER;
    return new Worker(new URL(file, import.meta.url), { name: label });
  },
};

// The requests whose replies are shown, by the id of the tab.
const requests = createStore({});
let activeTab; // the tab that is shown

const fetcher = async (params, { headers } = {}) => {
  const operationName = nameIn(params);
  requests.set({
    [activeTab.id]: {
      operation: operationNamed(operationName),
      variables: JSON.stringify(params.variables ?? {}),
      merchant: session.get().merchant,
    },
  });
  markRun(operationName);
  const result = await send({ ...params, operationName }, headers);
  await learn(operationName, result);
  return result;
};

// nameIn returns the name of the operation to run. Just after a change of tabs GraphiQL still gives
// the name from the previous tab.
function nameIn({ query, operationName }) {
  try {
    const names = parse(query).definitions.filter(d => d.kind === Kind.OPERATION_DEFINITION).map(d => d.name?.value);
    return names.length === 1 ? names[0] : operationName;
  } catch {
    return operationName; // the server reports what is wrong with it
  }
}

// startingTabs returns GraphiQL's tabs as a reload of the page left them, or else the prepared
// operations, and the tab to show.
function startingTabs() {
  const kept = stored('graphiql:tabState');
  if (kept?.tabs?.length > 0) return { tabs: kept.tabs, active: kept.tabs[kept.activeTabIndex] ?? kept.tabs[0] };
  const tabs = operations.map(operation => ({ query: operation.query, variables: prepare(operation), headers: '' }));
  return { tabs, active: tabs[0] };
}

// createExplorer returns the component for a schema.
export function createExplorer(text) {
  const schema = buildSchema(text);
  const docs = innerWidth >= 1280 ? DOC_EXPLORER_PLUGIN : undefined;
  return function Explorer() {
    const [{ tabs, active }] = useState(startingTabs);
    return (
      <GraphiQL
        fetcher={fetcher} schema={schema} storage={storage} shouldPersistHeaders={false} visiblePlugin={docs}
        defaultTabs={tabs} initialQuery={active.query ?? ''} initialVariables={active.variables ?? ''}
        defaultHeaders="" defaultEditorToolsVisibility="variables"
      >
        <GraphiQL.Logo><span /></GraphiQL.Logo>
        <GraphiQL.Footer><Footer /></GraphiQL.Footer>
        <Prefill />
      </GraphiQL>
    );
  };
}

const editing = pick('tabs', 'activeTabIndex', 'variableEditor', 'queryEditor', 'headerEditor', 'responseEditor');

// Footer shows the REST request of the reply that is shown or, before a reply, of the operation.
function Footer() {
  const { tabs, activeTabIndex, variableEditor } = useGraphiQL(editing);
  const sent = requests.use();
  const tab = activeTab = tabs[activeTabIndex];
  const operation = operationNamed(tab?.title);
  const request = tab?.response && sent[tab.id] || { operation, variables: tab?.variables };
  if (!operation && !request.operation) return null;
  const replace = operation?.query.includes('$') && (async () => variableEditor.setValue(await newExample(operation)));
  return <Equivalent request={request} onNewExample={replace} />;
}

// Prefill brings the variables of the tab shown up to date unless they were edited or run.
function Prefill() {
  const at = examples.use();
  const { tabs, activeTabIndex, variableEditor, queryEditor, headerEditor, responseEditor } = useGraphiQL(editing);
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor, headerEditor, responseEditor]) {
      editor?.updateOptions({
        fontFamily: getComputedStyle(document.body).getPropertyValue('--mono'), fontSize: 13, wordWrap: 'on',
      });
    }
  }, [queryEditor, variableEditor, headerEditor, responseEditor]);

  useEffect(describeTabs, []);
  useEffect(describeHistory, []);

  useEffect(() => {
    const tab = tabs[activeTabIndex];
    const operation = operationNamed(tab?.title);
    if (!variableEditor || !operation || !isUntouched(operation, tab.variables)) return;
    const text = prepare(operation);
    if (text !== variableEditor.getValue()) variableEditor.setValue(text);
  }, [activeTabIndex, variableEditor, at]);
  return null;
}
