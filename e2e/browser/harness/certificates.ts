import 'reflect-metadata';
import { createHash, webcrypto } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as Crypto);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY = 24 * 60 * 60 * 1000;

/** A certificate for `localhost` in files, as a node wants it. */
export class Certificate {
  readonly folder = mkdtempSync(join(tmpdir(), 'moim-e2e-cert-'));
  readonly #keys: CryptoKeyPair;

  private constructor(keys: CryptoKeyPair) {
    this.#keys = keys;
  }

  static async make(): Promise<Certificate> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const certificate = new Certificate(keys as CryptoKeyPair);
    await certificate.renew();
    return certificate;
  }

  /** Writes another certificate for the same key. */
  async renew(): Promise<void> {
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=localhost',
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
      keys: this.#keys,
      signingAlgorithm: ALGORITHM,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])],
    });
    const key = await webcrypto.subtle.exportKey('pkcs8', this.#keys.privateKey);
    writeFileSync(join(this.folder, 'key.pem'), x509.PemConverter.encode(key, 'PRIVATE KEY'));
    writeFileSync(join(this.folder, 'cert.pem'), certificate.toString('pem'));
  }

  /** What Chromium trusts it by: the hash of its public key. */
  async spkiHash(): Promise<string> {
    const key = await webcrypto.subtle.exportKey('spki', this.#keys.publicKey);
    return createHash('sha256').update(Buffer.from(key)).digest('base64');
  }

  /** The arguments of a node that uses it. */
  get args(): string[] {
    const file = (name: string): string => join(this.folder, name);
    return [
      ...['--tls', '127.0.0.1:0', '--domain', 'localhost'],
      ...['--tls-cert', file('cert.pem'), '--tls-key', file('key.pem')],
    ];
  }
}
