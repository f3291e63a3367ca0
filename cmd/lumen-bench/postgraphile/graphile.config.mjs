// PostGraphile as it runs in production, in one process, over Lumen's own table. DATABASE_URL is the owner's: row-level
// security does not bind it, and nobody is authenticated, both to its advantage.
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { makePgService } from "postgraphile/adaptors/pg";
import { pgSmartTags } from "postgraphile/utils";

export default {
  extends: [PostGraphileAmberPreset],
  plugins: [
    pgSmartTags([
      { kind: "class", match: ({ relname }) => relname !== "customers", tags: { behavior: "-*" } },
      { kind: "procedure", match: () => true, tags: { behavior: "-*" } },
      // No index leads with it, so it would be no condition, and the page would hold the deleted as well.
      { kind: "attribute", match: "customers.deleted_at", tags: { behavior: "+filterBy" } },
    ]),
  ],
  disablePlugins: ["PgMutationCreatePlugin", "PgMutationUpdateDeletePlugin"],
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ["public"],
      poolConfig: { max: 16 },
    }),
  ],
  grafast: { explain: false },
  grafserv: { watch: false, graphiql: false, websockets: false },
};
