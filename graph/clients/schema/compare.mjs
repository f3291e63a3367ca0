// Compares the schema with that of the last release: node compare.mjs RELEASED CURRENT DECLARED.
// DECLARED lists one change a line. A change that breaks a client of the release has to be
// declared, and a declared change has to exist.
import { readFileSync } from "node:fs";
import { CriticalityLevel, diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";

const [released, current, declared] = process.argv.slice(2).map((file) => readFileSync(file, "utf8"));

const changes = await diff(buildSchema(released), buildSchema(current));
const breaking = new Map();
for (const { type, path, message, criticality } of changes) {
  // A changed default changes the answer to an unchanged request.
  const breaks = criticality.level === CriticalityLevel.Breaking || /_DEFAULT_(VALUE_)?CHANGED$/.test(type);
  console.log(`${breaks ? "breaking" : "fine    "} ${type} ${path}: ${message}`);
  if (breaks) breaking.set(`${type} ${path}`, message);
}

const lines = new Set(declared.split("\n").filter((line) => line && !line.startsWith("#")));
const faults = [
  ...[...breaking.keys()].filter((change) => !lines.has(change)).map((change) => `not declared: ${change}`),
  ...[...lines].filter((line) => !breaking.has(line)).map((line) => `declared, but not there: ${line}`),
];
for (const fault of faults) console.error(fault);
process.exitCode = faults.length ? 1 : 0;
