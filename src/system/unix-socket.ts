import { connect } from 'node:net';

/** Whether somebody listens on a unix socket, found out by connecting and hanging up at once. */
export function acceptsConnections(path: string, deadlineMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (answer: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end(false), deadlineMs);
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
