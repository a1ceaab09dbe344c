import { durationText } from '../core/duration.ts';

/** A local time: the clock alone within a day of `now`, with the date otherwise. */
export function timeText(time: number, now: number): string {
  const at = new Date(time);
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  if (Math.abs(now - time) < 86_400_000 && new Date(now).getDate() === at.getDate()) return clock;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

/** `2 minutes ago (11:58:00)`. */
export const agoText = (time: number, now: number): string =>
  `${time > now - 1000 ? 'just now' : `${durationText(now - time)} ago`} (${timeText(time, now)})`;

/** A size: `1592 bytes`, `12 kB`, `61 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} bytes`;
  return bytes < 10_000_000 ? `${Math.round(bytes / 1000)} kB` : `${Math.round(bytes / 1_000_000)} MB`;
}

/** A whole number with its thousands parted: `12,345`. */
export const groupedText = (count: number): string =>
  String(Math.round(count)).replace(/\B(?=([0-9]{3})+$)/g, ',');

/** `1 failure`, `12,345 failures`; for words whose plural ends in s alone. */
export const countText = (count: number, what: string): string =>
  `${groupedText(count)} ${what}${count === 1 ? '' : 's'}`;

/** A part of a whole: `79%`, `0.4%`; `100%` and `0%` only for all and nothing. */
export function percentText(part: number): string {
  const percent = 100 * part;
  if (percent === 0 || percent === 100) return `${percent}%`;
  if (percent < 10) return `${Math.max(0.1, percent).toFixed(1)}%`;
  return `${Math.min(99, Math.round(percent))}%`;
}

const two = (value: number): string => String(value).padStart(2, '0');
