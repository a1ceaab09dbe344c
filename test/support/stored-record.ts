import type { StoredRecord } from '../../src/core/record.ts';

/** A record of resolvconf(8) under its key. */
export const storedRecord = (key: string, text: string, own: Partial<StoredRecord> = {}): StoredRecord => ({
  key,
  text,
  private: false,
  nosearch: false,
  ...own,
});
