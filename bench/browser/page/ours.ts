// Moim's: compiled for wasm from bench/src/page.rs.
import type { Peer } from './peer.ts';

interface Module {
  default(): Promise<unknown>;
  Peer: { start(relay?: string): Promise<Peer> };
}

let loaded: Promise<Module> | undefined;

async function load(): Promise<Module> {
  // Made by wasm-bindgen, beside this script.
  const address = '/ours.js';
  const module = (await import(address)) as Module;
  await module.default();
  return module;
}

export async function startOurs(relay?: string): Promise<Peer> {
  loaded ??= load();
  return await (await loaded).Peer.start(relay);
}
