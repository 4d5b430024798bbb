import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const workspace = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const built = join(process.env['CARGO_TARGET_DIR'] ?? join(workspace, 'target'), 'debug');

function locate(variable: string, usual: string, how: string): string {
  const path = process.env[variable] ?? usual;
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: build it with \`${how}\`, or set ${variable}`);
  }
  return path;
}

/** The bootstrap node's program. */
export const bootstrapProgram = (): string =>
  locate('MOIM_BOOTSTRAP_BIN', join(built, 'moim-bootstrap'), 'cargo build -p moim-bootstrap');

/** The terminal peer's program. */
export const moimProgram = (): string =>
  locate('MOIM_BIN', join(built, 'moim'), 'cargo build -p moim-cli');

/** The folder of the built page. */
export const pageFolder = (): string =>
  locate('MOIM_DIST', join(workspace, 'dist'), 'trunk build --release');

/** Where screenshots go; not committed. */
export const artefacts = join(workspace, 'e2e/browser/artefacts');
