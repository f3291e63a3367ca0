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
      // Lists other than connections are short: user errors, and what was asked for by id. A connection has `nodes`.
      "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }],
      // What has no life of its own has no id: parts of a list, what came of a mutation, and a token, which is shown once.
      "@graphql-eslint/strict-id-in-types": [
        "error",
        { exceptions: { types: ["PageInfo", "UserError", "AccessToken"], suffixes: ["Connection", "Edge", "Payload"] } },
      ],
    },
  },
];
