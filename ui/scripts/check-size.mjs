// Fails when the built dashboard outgrows its budgets: entry JavaScript (what index.html loads),
// each lazily loaded chunk, and the whole folder.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const KB = 1000;
const BUDGET = { entryGzip: 280 * KB, lazyGzip: 80 * KB, total: 1500 * KB };

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const index = readFileSync(join(dist, 'index.html'), 'utf8');
const files = readdirSync(dist, { recursive: true })
  .map((name) => join(dist, name))
  .filter((path) => statSync(path).isFile());

let entry = 0;
let total = 0;
const faults = [];
for (const path of files) {
  const bytes = readFileSync(path);
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const name = relative(dist, path);
  total += bytes.length;
  console.log(`${name.padEnd(44)} ${bytes.length} B, ${gzip} B gzip`);
  if (!name.endsWith('.js')) continue;
  if (index.includes(name)) entry += gzip;
  else if (gzip > BUDGET.lazyGzip) faults.push(`${name}: ${gzip} B gzip > ${BUDGET.lazyGzip}`);
}
if (entry === 0) faults.push('index.html loads no JavaScript');
if (entry > BUDGET.entryGzip) faults.push(`entry: ${entry} B gzip > ${BUDGET.entryGzip}`);
if (total > BUDGET.total) faults.push(`all files: ${total} B > ${BUDGET.total}`);
console.log(`entry JavaScript: ${entry} B gzip; all files: ${total} B`);
for (const fault of faults) console.error(`over budget: ${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;
