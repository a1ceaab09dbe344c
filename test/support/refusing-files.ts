import { DnskeeperError } from '../../src/core/errors.ts';
import type { Files } from '../../src/system/files.ts';

/** Files on which the system refuses every change of one path with an error code; all else is real. */
export function refusingFiles(real: Files, path: string, code: string): Files {
  const refuse = (at: string): void => {
    if (at !== path) return;
    const cause = Object.assign(new Error(`${code}: refused`), { code });
    throw new DnskeeperError('IO', `wanted to change ${at}, got ${code}`, cause);
  };
  return {
    ...real,
    async replace(at, bytes, options) {
      refuse(at);
      return real.replace(at, bytes, options);
    },
    async overwrite(at, bytes, durable) {
      refuse(at);
      await real.overwrite(at, bytes, durable);
    },
    async replaceWithLink(at, target) {
      refuse(at);
      await real.replaceWithLink(at, target);
    },
    async replaceWithName(at, existing) {
      refuse(at);
      await real.replaceWithName(at, existing);
    },
    async remove(at) {
      refuse(at);
      return real.remove(at);
    },
  };
}
