import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { ProxyError } from '../errors.ts';

/** Bytes of an AES-256-GCM nonce, random for each value. */
const nonceBytes = 12;
/** Bytes of the tag behind the text. */
const tagBytes = 16;

/**
 * What the database is handed for a value, and the value for that. `place` names where the value
 * stands, so that the server cannot exchange two of them.
 */
export interface Seal {
  close(value: Buffer, place: string): Buffer;
  /**
   * @throws ProxyError `store_corrupt` where it was not closed with this key, or for another place
   */
  open(value: Buffer, place: string): Buffer;
  /** The key of the hashes by which forgotten texts are known. */
  readonly hashKey: Buffer | undefined;
  /** By which a machine knows that it has the right key; the same for every machine of a team. */
  readonly check: string | undefined;
}

/** Values as they are: the database can read them. */
export const noSeal: Seal = {
  close: (value) => value,
  open: (value) => value,
  hashKey: undefined,
  check: undefined,
};

/**
 * Values that only who has the team's key can read: AES-256-GCM (NIST SP 800-38D) with a key drawn
 * from it by HKDF-SHA-256 (RFC 5869).
 * @param teamKey At least 16 bytes of secret, as text: what `rlm-opencode store key` prints
 */
export function sealWith(teamKey: string): Seal {
  const drawn = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', teamKey, 'rlm-opencode shared store', purpose, 32));
  const key = drawn('values');
  return {
    hashKey: drawn('forgotten texts'),
    check: createHmac('sha256', drawn('check')).update('team key').digest('hex').slice(0, 32),
    close: (value, place) => {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      cipher.setAAD(Buffer.from(place));
      return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
    },
    open: (value, place) => {
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, value.subarray(0, nonceBytes));
        decipher.setAAD(Buffer.from(place));
        decipher.setAuthTag(value.subarray(-tagBytes));
        const inside = value.subarray(nonceBytes, -tagBytes);
        return Buffer.concat([decipher.update(inside), decipher.final()]);
      } catch (error) {
        throw new ProxyError(
          'store_corrupt',
          `The shared store is damaged: ${place} is not what was written with this team key.`,
          {
            cause: error,
            hint: 'Compare RLM_STORE_KEY with that of the others.',
          },
        );
      }
    },
  };
}
