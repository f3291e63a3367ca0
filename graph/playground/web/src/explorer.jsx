// GraphiQL, filled with the prepared operations.
import { Kind, buildSchema, parse } from 'graphql';
import { GraphiQL } from 'graphiql';
import { pick, useGraphiQL } from '@graphiql/react';
import { DOC_EXPLORER_PLUGIN } from '@graphiql/plugin-doc-explorer';
import { useEffect } from 'react';
import { Equivalent } from './equivalent.jsx';
import { examples, isPrepared, learn, prepare } from './examples.js';
import { operationNamed, operations } from './operations.js';
import { send } from './session.js';
import { memory } from './memory.js';
import { describeTabs } from './tabs.js';

/* global EDITOR_WORKER, JSON_WORKER, GRAPHQL_WORKER */
globalThis.MonacoEnvironment = {
  getWorker: (_, label) => {
    const file = { json: JSON_WORKER, graphql: GRAPHQL_WORKER }[label] ?? EDITOR_WORKER;
    return new Worker(new URL(file, import.meta.url), { name: label });
  },
};

const noPlugins = []; // the history, which would be one, keeps headers in the browser's storage

const fetcher = async (params, { headers } = {}) => {
  const operationName = nameIn(params);
  const result = await send({ ...params, operationName }, headers);
  await learn(operationName, result);
  return result;
};

// nameIn returns the name of the operation to run. For a moment after a change of tabs GraphiQL still gives that of the
// tab before.
function nameIn({ query, operationName }) {
  try {
    const names = parse(query).definitions.filter(d => d.kind === Kind.OPERATION_DEFINITION).map(d => d.name?.value);
    return names.length === 1 ? names[0] : operationName;
  } catch {
    return operationName; // the server says what is wrong with it
  }
}

// createExplorer returns the component for a schema. What it starts with is read when it is first shown.
export function createExplorer(text) {
  const schema = buildSchema(text);
  const tabs = operations.map(operation => ({ query: operation.query, variables: prepare(operation) }));
  const docs = innerWidth >= 1280 ? DOC_EXPLORER_PLUGIN : undefined;
  return function Explorer() {
    return (
      <GraphiQL
        fetcher={fetcher} schema={schema} storage={memory} plugins={noPlugins} shouldPersistHeaders={false} visiblePlugin={docs}
        defaultTabs={tabs} initialQuery={tabs[0].query} initialVariables={tabs[0].variables} defaultEditorToolsVisibility="variables"
      >
        <GraphiQL.Logo><span /></GraphiQL.Logo>
        <GraphiQL.Footer><Footer /></GraphiQL.Footer>
        <Prefill />
      </GraphiQL>
    );
  };
}

const active = pick('tabs', 'activeTabIndex', 'variableEditor', 'queryEditor', 'headerEditor', 'responseEditor');

function Footer() {
  const { tabs, activeTabIndex } = useGraphiQL(active);
  const tab = tabs[activeTabIndex];
  return <Equivalent operation={operationNamed(tab?.title)} variables={tab?.variables} />;
}

// Prefill brings prepared variables up to date when their tab is opened, and leaves edited ones alone.
function Prefill() {
  const at = examples.use();
  const { tabs, activeTabIndex, variableEditor, queryEditor, headerEditor, responseEditor } = useGraphiQL(active);
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor, headerEditor, responseEditor]) {
      editor?.updateOptions({
        fontFamily: getComputedStyle(document.body).getPropertyValue('--mono'), fontSize: 13, wordWrap: 'on',
      });
    }
  }, [queryEditor, variableEditor, headerEditor, responseEditor]);

  useEffect(describeTabs, []);

  const refill = () => {
    const tab = tabs[activeTabIndex];
    const operation = operationNamed(tab?.title);
    if (!variableEditor || !operation || !isPrepared(tab.variables)) return;
    const text = prepare(operation);
    if (text !== variableEditor.getValue()) variableEditor.setValue(text);
  };
  useEffect(refill, [activeTabIndex, variableEditor]);
  useEffect(() => {
    if (!tabs[activeTabIndex]?.response) refill(); // what was just run stays as it was run
  }, [at]);
  return null;
}
