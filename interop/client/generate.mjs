// node generate.mjs DOCUMENT FOLDER: makes the client of an OpenAPI document in a folder and compiles `send.ts` with it.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { createClient } from '@hey-api/openapi-ts';

const here = dirname(fileURLToPath(import.meta.url));
const [document, folder] = process.argv.slice(2).map((path) => resolve(path));
const source = join(folder, 'source');
mkdirSync(source, { recursive: true });
await createClient({
  input: document,
  output: { path: join(source, 'client'), indexFile: true },
  plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk'],
  logs: { level: 'warn' },
});
copyFileSync(join(here, 'send.ts'), join(source, 'send.ts'));
const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const options = {
  target: 'es2022',
  // Node finds these modules without the ends of their names, which the generated code leaves out.
  module: 'commonjs',
  moduleResolution: 'node10',
  lib: ['es2022', 'dom', 'dom.iterable'],
  types: [],
  strict: true,
  outDir: folder,
};
writeFileSync(join(source, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['send.ts'] }));
const compiled = spawnSync(process.execPath, [compiler, '--project', source], { stdio: 'inherit' });
process.exit(compiled.status ?? 1);
