/**
 * An environment for programs that a test starts, with nothing of ours but where programs are: what a service manager, a
 * terminal or somebody's locale left in it (NOTIFY_SOCKET, FORCE_COLOR, LC_ALL) would change what they do and say.
 */
export const bareEnvironment: Readonly<Record<string, string>> = { PATH: process.env['PATH'] ?? '' };
