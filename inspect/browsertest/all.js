// Every test, in one process: they share a browser, and the stores that nobody changes.

import { readdirSync } from "node:fs";

const tests = new URL("tests/", import.meta.url);
for (const name of readdirSync(tests).sort()) await import(new URL(name, tests));
