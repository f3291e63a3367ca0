import type { CodegenConfig } from "@graphql-codegen/cli";

export default {
  schema: "schema.graphql",
  documents: "*.ts",
  generates: {
    "generated/": {
      preset: "client",
      presetConfig: { fragmentMasking: false, persistedDocuments: { hashAlgorithm: "sha256" } },
      config: { useTypeImports: true, scalars: { DateTime: "string" }, strictScalars: true, enumsAsTypes: true },
    },
  },
} satisfies CodegenConfig;
