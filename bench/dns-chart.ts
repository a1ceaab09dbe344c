import type { Chart } from './dns-options.ts';

const WIDTH = 720;
const LEFT = 110;
const LONGEST = 480;
const BAR = 18;
const STEP = 26;
const TITLE = 34;
const GAP = 14;

/**
 * Bars as SVG, plain enough to be read as text. Colours follow the reader's dark or light setting; the greys in use
 * without one stand out from both.
 */
export function drawCharts(charts: readonly Chart[], caption: string): string {
  const parts: string[] = [];
  let top = GAP;
  for (const { title, bars } of charts) {
    parts.push(`<text class="title" x="${GAP}" y="${top + 18}">${asXml(title)}</text>`);
    top += TITLE;
    const longest = Math.max(...bars.map(({ value }) => value));
    for (const [index, { name, value, text }] of bars.entries()) {
      const width = Math.max(1, Math.round((LONGEST * value) / longest));
      parts.push(
        `<text x="${LEFT - 8}" y="${top + 13}" text-anchor="end">${asXml(name)}</text>`,
        `<rect class="${index === 0 ? 'own' : 'peer'}" x="${LEFT}" y="${top}" width="${width}" height="${BAR}" rx="2"/>`,
        `<text x="${LEFT + width + 8}" y="${top + 13}">${asXml(text)}</text>`,
      );
      top += STEP;
    }
    top += GAP;
  }
  parts.push(`<text class="caption" x="${GAP}" y="${top + 8}">${asXml(caption)}</text>`);
  const height = top + 24;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${asXml(charts.map(({ title }) => title).join('; '))}</title>`,
    `<style>${STYLE}</style>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

const STYLE = [
  'text{font:14px system-ui,sans-serif;fill:#6e7781}',
  '.title{font-weight:600}.caption{font-size:12px}',
  '.own{fill:#2a7de1}.peer{fill:#9aa4af}',
  '@media(prefers-color-scheme:dark){text{fill:#c9d1d9}.own{fill:#58a6ff}.peer{fill:#6e7681}}',
  '@media(prefers-color-scheme:light){text{fill:#24292f}}',
].join('');

const asXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
