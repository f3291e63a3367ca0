// The input of relay-compiler. The client imports the artifacts, so it needs no Babel.
import { graphql } from "relay-runtime";

graphql`
  query customersPageQuery($first: Int!) {
    ...customers_list @arguments(first: $first)
  }
`;

graphql`
  fragment customers_list on Query
  @refetchable(queryName: "customersNextPageQuery")
  @argumentDefinitions(first: { type: "Int!" }, after: { type: "String" }) {
    customers(first: $first, after: $after) @connection(key: "list_customers") {
      edges { node { id email } }
      pageInfo { endCursor hasNextPage }
    }
  }
`;

graphql`
  query customersNodeQuery($id: ID!) {
    node(id: $id) { ... on Customer { id email name userId } }
  }
`;

graphql`
  mutation customersCreateMutation($input: CreateCustomerInput!) {
    createCustomer(input: $input) {
      customer { id email name userId }
      userErrors { code field message }
    }
  }
`;

graphql`
  mutation customersUpdateMutation($id: ID!, $input: UpdateCustomerInput!) {
    updateCustomer(id: $id, input: $input) {
      customer { id email name userId }
      userErrors { code field message }
    }
  }
`;

graphql`
  mutation customersDeleteMutation($id: ID!) {
    deleteCustomer(id: $id) {
      deletedCustomerId @deleteRecord
      userErrors { code field message }
    }
  }
`;
