import { describe, expect, it } from 'vitest';
import { matchesPattern } from '../../src/core/glob.ts';

describe('a pattern', () => {
  it.each([
    ['home', 'home', true],
    ['home', 'Home', false],
    ['', '', true],
    ['*', '', true],
    ['*', 'anything at all', true],
    ['?', '', false],
    ['?', '🌲', true],
    ['wl*', 'wlan0', true],
    ['wl*', 'eth0', false],
    ['*.example', 'a.b.example', true],
    ['a*b*c', 'axxbyybzzc', true],
    ['a*b*c', 'axxbyybzz', false],
    ['**a', 'bba', true],
    ['a?c', 'abc', true],
    ['[ab]', 'a', true],
    ['[!ab]', 'a', false],
    ['wlan[0-9]', 'wlan7', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['[', '[', true],
  ])('%j and %j: %j', (pattern, text, fits) => {
    expect(matchesPattern(pattern, text)).toBe(fits);
  });

  it('with many stars does not hang on a text that almost fits', () => {
    expect(matchesPattern(`${'*a'.repeat(60)}b`, 'a'.repeat(5000))).toBe(false);
  });
});
