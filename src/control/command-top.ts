import type { Screen } from '../system/screen.ts';
import type { Terminal } from '../system/terminal.ts';
import { type CommandContext, gone, isJson, json } from './command-context.ts';
import { EXIT } from './command-table.ts';
import { formatTop } from './format-top.ts';
import { addReply, NO_HISTORY, type TopHistory } from './top-history.ts';

/** `dnsctl top`: the live view, until q, a signal or the daemon's end; one frame with `--once`, one a second without a terminal. */
export async function showTop(context: CommandContext): Promise<number> {
  const once = 'once' in context.options;
  if (!once && !isJson(context)) {
    const code = await showLive(context);
    if (code !== undefined) return code;
  }
  const view = { rows: Number.POSITIVE_INFINITY, paused: false, hideNames: 'hide-names' in context.options };
  let history = NO_HISTORY;
  for await (const reply of context.client.top(new AbortController().signal)) {
    history = addReply(history, view.hideNames ? { statistics: reply.statistics } : reply);
    if (isJson(context)) context.print(json(view.hideNames ? { statistics: reply.statistics } : reply));
    else if (history.seconds.length > 0)
      context.print(
        `${formatTop(history, { ...view, keys: false }, context.terminal).join('\n')}\n${once ? '' : '\n'}`,
      );
    if (once && (isJson(context) || history.seconds.length > 0)) return EXIT.done;
  }
  throw gone();
}

/** The view on the whole terminal; undefined where there is none. */
async function showLive(context: CommandContext): Promise<number | undefined> {
  const quit = new AbortController();
  let history = NO_HISTORY;
  /** What is on the screen: while paused it stays, and the counting goes on. */
  let shown: TopHistory = NO_HISTORY;
  let paused = false;
  let hideNames = 'hide-names' in context.options;
  const keys: Readonly<Record<string, () => void>> = {
    q: () => quit.abort(),
    '\u0003': () => quit.abort(),
    p() {
      paused = !paused;
    },
    n() {
      hideNames = !hideNames;
    },
  };
  const draw = (): void => {
    if (!paused) shown = history;
    if (screen !== undefined)
      screen.show(
        formatTop(shown, { rows: screen.rows, paused, hideNames, keys: true }, terminalOn(screen, context)),
      );
  };
  const screen = context.openScreen({
    key(key) {
      keys[key]?.();
      if (!quit.signal.aborted) draw();
    },
    resized: draw,
  });
  if (screen === undefined) return undefined;
  try {
    draw();
    for await (const reply of context.client.top(quit.signal)) {
      history = addReply(history, reply);
      draw();
    }
  } finally {
    screen.close();
  }
  if (quit.signal.aborted) return EXIT.done;
  throw gone();
}

/** The terminal with the size that it has now. */
const terminalOn = ({ columns }: Screen, { terminal }: CommandContext): Terminal => ({
  columns,
  unicode: terminal.unicode,
  paint: (style, text) => terminal.paint(style, text),
});
