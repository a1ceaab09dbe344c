import { DnskeeperError, messageOf } from '../core/errors.ts';
import { formatHookResults, MOST_CALL_BYTES, parseHookCall } from '../core/hook-call.ts';
import { runHooks } from './hooks.ts';

/** The caller writes at once. */
const CALL_MS = 10_000;

/**
 * A program of its own: runs the programs of one folder for dnskeeperd, outside its confinement. systemd starts it for
 * each connection to dnskeeper-hooks.socket, with that as standard input and output. Only root may connect there, so the
 * caller is trusted with the folder; what lies in it is judged as always. When it has answered, nothing that is still open
 * matters to anybody.
 */
process.exit(await main());

async function main(): Promise<number> {
  const hungUp = new AbortController();
  try {
    const call = parseHookCall(await callFrom(process.stdin, hungUp));
    if (call === undefined)
      throw new DnskeeperError('USAGE', 'wanted a call of dnskeeperd, got something else');
    const results = await runHooks({ ...call, signal: hungUp.signal });
    await answer(formatHookResults(results));
    return 0;
  } catch (error) {
    process.stderr.write(`dnskeeper hooks: ${messageOf(error)}\n`);
    return 1;
  }
}

/** The first line; an end before or after it means that nobody waits any longer. */
function callFrom(input: NodeJS.ReadableStream, hungUp: AbortController): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  const end = (): void => {
    hungUp.abort();
    reject(new DnskeeperError('USAGE', 'wanted a call of dnskeeperd, got an end'));
  };
  const late = setTimeout(end, CALL_MS);
  input.setEncoding('utf8');
  input.on('data', (piece: string) => {
    text += piece;
    const at = text.indexOf('\n');
    if (at < 0 && text.length > MOST_CALL_BYTES) end();
    if (at < 0) return;
    resolve(text.slice(0, at));
    input.removeAllListeners('data').resume(); // to hear of the end
  });
  for (const event of ['end', 'close', 'error']) input.on(event, end);
  return promise.finally(() => clearTimeout(late));
}

function answer(text: string): Promise<void> {
  return new Promise((resolve, reject) =>
    process.stdout.write(text, (error) => (error ? reject(error) : resolve())),
  );
}
