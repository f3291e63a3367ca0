// The prepared operations, one for each task, in the best order to try them.
import whoAmI from './operations/who-am-i.graphql';
import firstPage from './operations/first-page.graphql';
import nextPage from './operations/next-page.graphql';
import findByEmail from './operations/find-by-email.graphql';
import createCustomer from './operations/create-customer.graphql';
import updateOneField from './operations/update-one-field.graphql';
import clearAField from './operations/clear-a-field.graphql';
import history from './operations/history.graphql';
import changes from './operations/changes.graphql';
import accessToken from './operations/access-token.graphql';
import deleteCustomer from './operations/delete-customer.graphql';
import duplicateEmail from './operations/duplicate-email.graphql';

const post = (path, input) => ({ method: 'POST', path, body: input });
const customer = id => `/api/customers/${encodeURIComponent(id ?? '')}`;
const get = (path, query) => ({
  method: 'GET',
  path: path + '?' + new URLSearchParams(Object.entries(query).filter(([, value]) => value != null)),
});
const list = query => get('/api/customers', query);

// variables returns an operation's variables, made of the examples in examples.js. rest returns the
// equivalent REST request for variables, null when REST has none.
export const operations = [
  { name: 'WhoAmI', title: 'Who am I', query: whoAmI, variables: () => ({}), rest: () => null },
  {
    name: 'FirstPage', title: 'First page', query: firstPage,
    variables: () => ({ first: 5 }),
    rest: v => list({ limit: v.first }),
  },
  {
    name: 'NextPage', title: 'Next page', query: nextPage,
    variables: e => ({ first: 5, after: e.cursor }),
    rest: v => list({ limit: v.first, cursor: v.after }),
  },
  {
    name: 'FindByEmail', title: 'Find by email', query: findByEmail,
    variables: e => ({ email: e.email.toUpperCase() }),
    rest: v => list({ email: v.email }),
  },
  {
    name: 'CreateCustomer', title: 'Create', query: createCustomer,
    variables: e => ({ input: { email: e.newEmail, name: 'Jane Smith', billingCity: 'Lyon', billingCountry: 'FR' } }),
    rest: v => post('/api/customers', v.input),
  },
  {
    name: 'UpdateOneField', title: 'Update one field', query: updateOneField,
    variables: e => ({ id: e.id, input: { name: 'Jane Doe' } }),
    rest: v => post(customer(v.id), v.input),
  },
  {
    name: 'ClearAField', title: 'Clear a field', query: clearAField,
    variables: e => ({ id: e.id, input: { billingCity: null } }),
    rest: v => post(customer(v.id), v.input),
  },
  {
    name: 'History', title: 'History', query: history,
    variables: e => ({ id: e.id }),
    rest: v => get(customer(v.id) + '/history', { limit: 10 }),
  },
  {
    name: 'Changes', title: 'Changes', query: changes,
    variables: () => ({ first: 5, after: null }),
    rest: v => get('/api/changes', { limit: v.first, after: v.after }),
  },
  {
    name: 'AccessToken', title: 'Access token', query: accessToken,
    variables: e => ({ input: { access: 'READ', customerId: e.id, expiresIn: 900 } }),
    rest: v => post('/api/access-tokens', { ...v.input, access: v.input.access?.toLowerCase() }),
  },
  {
    name: 'DeleteCustomer', title: 'Delete', query: deleteCustomer,
    variables: e => ({ id: e.id }),
    rest: v => ({ method: 'DELETE', path: customer(v.id) }),
  },
  {
    name: 'DuplicateEmail', title: 'Duplicate email', query: duplicateEmail,
    variables: e => ({ input: { email: e.email } }),
    rest: v => post('/api/customers', v.input),
  },
].map(operation => ({ ...operation, query: operation.query.trim() }));

export const operationNamed = name => operations.find(operation => operation.name === name);
