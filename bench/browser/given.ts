/** What `cargo xtask bench` tells by the environment. */
export function given(variable: string): string {
  const value = process.env[variable];
  if (value === undefined || value === '') {
    throw new Error(`${variable} is missing: run \`cargo xtask bench\``);
  }
  return value;
}

/** The same for a number of which there is at least one. */
export function givenCount(variable: string): number {
  const count = Number(given(variable));
  if (!Number.isInteger(count) || count < 1) {
    throw new Error(`${variable} is not a count: ${count}`);
  }
  return count;
}
