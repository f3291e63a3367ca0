import graphql from "@graphql-eslint/eslint-plugin";

export default [
  {
    files: ["schema.graphql"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: "schema.graphql" } } },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...graphql.configs["flat/schema-recommended"].rules,
      ...graphql.configs["flat/schema-relay"].rules,
      // A description is one line, as in the rest of the schema.
      "@graphql-eslint/description-style": ["error", { style: "inline" }],
      // The log of changes is read in one direction.
      "@graphql-eslint/relay-arguments": ["error", { includeBoth: false }],
      // Lists other than connections are short: user errors, and objects asked for by id. A
      // connection has `nodes`. A change is no Node.
      "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false }],
      // Parts of a list, results of a mutation, changes, and a token, which is shown once, have no id
      // of their own.
      "@graphql-eslint/strict-id-in-types": [
        "error",
        {
          exceptions: {
            types: ["PageInfo", "UserError", "AccessToken", "Change", "FieldChange", "Actor"],
            suffixes: ["Connection", "Edge", "Payload"],
          },
        },
      ],
    },
  },
];
