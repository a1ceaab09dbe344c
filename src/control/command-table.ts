import type { ExitEntry, OptionEntry, ProgramEntry } from '../core/program.ts';

const ROOT_OPTION: OptionEntry = {
  name: '--root',
  value: 'DIR',
  text: 'Put DIR before every path (tests, demos, containers)',
};

const JSON_OPTION: OptionEntry = { name: '--json', text: 'Print JSON for scripts' };

const USAGE_EXIT: ExitEntry = { code: 2, text: 'The command line is wrong.' };

/** Exit codes of dnsctl; the table below documents them. */
export const EXIT = { done: 0, problem: 1, usage: 2, notRunning: 3 } as const;

/** dnsctl(1). */
export const DNSCTL: ProgramEntry = {
  name: 'dnsctl',
  section: 1,
  text: 'show and steer which DNS servers this machine uses',
  detail: [
    'dnsctl asks the running dnskeeperd(8) over its control socket. Every user may look, but for names that were asked for; what changes something needs root.',
    'Without root, and when no system daemon answers, dnsctl talks to the daemon that the same user started.',
  ],
  options: [
    ROOT_OPTION,
    { name: '--user', text: 'Talk to the daemon of this user instead of the system daemon' },
  ],
  commands: [
    {
      name: 'status',
      text: 'Show who is in charge of /etc/resolv.conf, the servers in force, and why',
      detail: [
        'The first line says whether all is well and who is in charge of /etc/resolv.conf. What is wrong comes next, then the servers per connection with priority and reason, the search domains, the options, what was left out and why, the sources, and the last change with the time it took.',
        'When no daemon runs, status shows what /etc/resolv.conf says and who seems to have written it.',
      ],
      options: [
        JSON_OPTION,
        { name: '--watch', short: '-w', text: 'Show every new status until interrupted' },
      ],
      exits: [
        { code: 0, text: 'The daemon runs and all is well.' },
        { code: 1, text: 'The daemon runs and something is wrong.' },
        { code: 3, text: 'The daemon does not run.' },
      ],
    },
    {
      name: 'explain',
      text: 'Show which servers a name goes to, and every rule that decided it',
      detail: [
        'NAME is a host or domain name, or an address, which stands for its reverse name. Nothing is looked up: the answer comes from the rules in force.',
        'While the local resolver answers, explain also shows what a question would meet at this moment: whether the hosts file or the resolver itself answers, which server would be asked first and why, when the next one, and what is remembered for the name.',
      ],
      arguments: [{ name: 'NAME', text: 'A host or domain name, or an address', completes: 'hosts' }],
      options: [JSON_OPTION],
    },
    {
      name: 'query',
      text: 'Ask the local resolver for a name, and show who answered and how long it took',
      detail: [
        'NAME is a host or domain name, or an address, which is asked for by its reverse name. TYPE is a record type such as A, AAAA, MX, TXT or TYPE65; A unless given, PTR for an address. The resolver answers as it would a program, from its cache too, also while /etc/resolv.conf does not lead to it.',
        'It shows the records, extended errors (RFC 8914), who was asked over which link and route or where else the answer came from, the time it took, and whether the server validated it (the AD bit).',
      ],
      arguments: [
        { name: 'NAME', text: 'A host or domain name, or an address', completes: 'hosts' },
        { name: 'TYPE', text: 'A record type', optional: true },
      ],
      options: [JSON_OPTION],
      exits: [
        { code: 0, text: 'The name exists, though it may have no record of this type.' },
        { code: 1, text: 'The name does not exist, or nobody could tell.' },
      ],
    },
    {
      name: 'flush',
      text: 'Forget remembered answers: all, or those for a name and what is below it (root)',
      detail: ['Answers are also forgotten by themselves when the link they came from changes.'],
      arguments: [{ name: 'NAME', text: 'A host or domain name', optional: true, completes: 'hosts' }],
    },
    {
      name: 'cache',
      text: 'Show the answers that the local resolver remembers (root)',
      detail: [
        'Those given most often come first, not counting what the fast path gave; each is shown with the time it has left, the route it came by, and its records. What clients asked for is private, so this needs root, or the user that the daemon runs as.',
      ],
      options: [
        JSON_OPTION,
        { name: '--name', value: 'NAME', text: 'Show only answers for NAME and names below it' },
        {
          name: '--lines',
          short: '-n',
          value: 'COUNT',
          text: 'Show COUNT answers instead of 50, at most 1000',
        },
      ],
    },
    {
      name: 'statistics',
      text: 'Show what the local resolver did since it started',
      detail: [
        'Queries by transport, type and response code, where answers came from, how long they took, how each server did, the cache, connections to servers, and bounds that were reached. Names are not among it.',
        'The fast path is a thread of its own that answers remembered names; it counts its answers, but not by type, code or time.',
      ],
      options: [JSON_OPTION],
    },
    {
      name: 'metrics',
      text: 'Print state and statistics for Prometheus',
      detail: [
        "The text is Prometheus' exposition format 0.0.4, as node_exporter's textfile collector reads it. No name that anybody asked for is in it. Without a daemon it holds dnskeeper_up 0 alone.",
      ],
      options: [
        {
          name: '--output',
          value: 'FILE',
          text: 'Replace FILE instead of printing; nobody ever reads half of it',
        },
      ],
      exits: [
        { code: 0, text: 'Printed or written.' },
        { code: 3, text: 'The daemon does not run; dnskeeper_up 0 was printed or written.' },
      ],
    },
    {
      name: 'top',
      text: 'Show live what the local resolver does, until q is pressed',
      detail: [
        'Queries a second, what part is answered from memory, failures, the servers with their times, the slowest and the most asked names. Keys: q quits, p pauses, n hides or shows names. Without a terminal it prints a frame a second.',
        'Names are shown to root, or the user that the daemon runs as, and are kept only while somebody watches. Meanwhile the fast path leaves its questions to the main thread, as far as that keeps up.',
      ],
      options: [
        { name: '--json', text: 'Print one JSON object a second' },
        { name: '--once', text: 'Print one frame and exit' },
        { name: '--hide-names', text: 'Begin with names hidden' },
      ],
    },
    {
      name: 'history',
      text: 'Show the last changes of the file: when, why, what, and how long each took',
      detail: [
        'The oldest change comes first. Each shows the cause, a unified diff of the file, and the milliseconds from the event to the written file.',
      ],
      options: [
        JSON_OPTION,
        { name: '--lines', short: '-n', value: 'COUNT', text: 'Show only the last COUNT changes' },
      ],
    },
    {
      name: 'monitor',
      text: 'Print a line for everything that happens, until interrupted',
      detail: ['Changes of the file, of the link, and of the sources appear as they happen.'],
      options: [{ name: '--json', text: 'Print one JSON object per line' }],
    },
    {
      name: 'profile',
      text: 'Show the profiles of the configuration and what became of each, or choose one by hand',
      detail: [
        'Profiles are rules per network, see dnskeeper.toml(5). "list" shows each with the links that it holds for and why, or why for none; "show NAME" shows one with the servers of those links.',
        '"use NAME" (root) has one come before the others: on the links that fulfil its conditions, or where there are none on those with the default route. It stays, also over a restart of the daemon, until "auto", a reboot, or the time of --for is over.',
      ],
      arguments: [
        {
          name: 'ACTION',
          text: 'What to do; list unless given',
          optional: true,
          choices: ['list', 'show', 'use', 'auto'],
        },
        { name: 'NAME', text: 'The name of a profile, for show and use', optional: true },
      ],
      options: [
        JSON_OPTION,
        { name: '--for', value: 'TIME', text: 'With use: only for so long, such as 90s, 10m, 1h or 2d' },
      ],
    },
    {
      name: 'try',
      text: 'Put a configuration in force for a while, and go back unless it is kept (root)',
      detail: [
        'FILE counts as if it lay in /etc/dnskeeper/conf.d, in place of a file of the same name there. At a terminal dnsctl asks whether to keep it; without one, and from any other terminal, "dnsctl try --keep" does. Who is locked out needs to do nothing: when the time is over, all is as before.',
      ],
      arguments: [
        {
          name: 'FILE',
          text: 'A file such as those in /etc/dnskeeper/conf.d',
          optional: true,
          completes: 'files',
        },
      ],
      options: [
        { name: '--for', value: 'TIME', text: 'How long it is in force unless it is kept; 60s unless given' },
        { name: '--keep', text: 'Write what is tried to /etc/dnskeeper/conf.d' },
        { name: '--back', text: 'Go back at once' },
      ],
    },
    {
      name: 'reload',
      text: 'Read the configuration again (root)',
      detail: [
        'A wrong configuration is reported with file, line and key; the last good one stays in force.',
      ],
    },
    {
      name: 'takeover',
      text: 'Make /etc/resolv.conf our link, again or after a release (root)',
      detail: ['What was there is saved once, so that release can put it back.'],
    },
    {
      name: 'release',
      text: 'Put back what /etc/resolv.conf was before, and leave it alone (root)',
      detail: [
        'The saved original is put back byte for byte, and /etc/resolv.conf stays untouched, also over reboots, until takeover. Without a running daemon, release works on the saved original itself.',
      ],
    },
    {
      name: 'give-way',
      text: 'Free the addresses of the resolver for a systemd-resolved that is about to start (root)',
      detail: [
        "systemd-resolved's unit calls it. /etc/resolv.conf names real servers until systemd-resolved runs; when it does not come within ten seconds, the addresses are taken again.",
      ],
    },
    {
      name: 'stand-in',
      text: 'Take /etc/resolv.conf before systemd-resolved stops (root)',
      detail: ["systemd-resolved's unit calls it, so that no name is lost between the two."],
    },
    {
      name: 'doctor',
      text: 'Find what is wrong with the DNS set-up of this machine, and how to mend it',
      detail: [
        'doctor looks at /etc/resolv.conf and who writes it, nsswitch.conf(5), the programs on port 53, NetworkManager, systemd-resolved, AppArmor, containers, and asks every listed server one question. It works with and without the daemon; as root it sees more, such as which program holds a port.',
      ],
      options: [JSON_OPTION, { name: '--no-probe', text: 'Send no DNS queries' }],
      exits: [
        { code: 0, text: 'Nothing is wrong; notes do not count.' },
        { code: 1, text: 'At least one error or warning was found.' },
      ],
    },
  ],
  standard: 'status',
  exits: [
    { code: 0, text: 'Done.' },
    { code: 1, text: 'It could not be done; the message says why.' },
    USAGE_EXIT,
    { code: 3, text: 'The daemon does not run.' },
  ],
  environment: [
    {
      name: 'LC_ALL, LC_CTYPE, LANG',
      text: 'Curves of top are drawn with block characters only in a UTF-8 locale.',
    },
    { name: 'NO_COLOR', text: 'When set to anything but the empty string, no colour is used.' },
    {
      name: 'XDG_RUNTIME_DIR',
      text: 'Where the daemon of a user has its socket, in dnskeeper/io.dnskeeper.',
    },
  ],
  files: [
    {
      path: '/run/dnskeeper/io.dnskeeper',
      text: 'The control socket; it speaks varlink, so varlinkctl(1) works on it.',
    },
    { path: '/run/dnskeeper/resolv.conf', text: 'What /etc/resolv.conf links to.' },
    { path: '/var/lib/dnskeeper/original/', text: 'What /etc/resolv.conf was before the first change.' },
  ],
  examples: [
    { line: 'dnsctl', text: 'What is in force, and is all well?' },
    { line: 'dnsctl explain git.corp.example', text: 'Why does this name go where it goes?' },
    { line: 'dnsctl history -n 3', text: 'What changed lately?' },
    { line: 'dnsctl query www.example.com AAAA', text: 'Who answers for this name, and how fast?' },
    { line: 'sudo dnsctl top', text: 'What is asked right now?' },
    { line: 'sudo dnsctl doctor', text: 'Names do not resolve; what is wrong?' },
  ],
  seeAlso: ['dnskeeperd(8)', 'dnskeeper.toml(5)', 'resolv.conf(5)', 'varlinkctl(1)'],
};

/** dnskeeperd(8). */
export const DNSKEEPERD: ProgramEntry = {
  name: 'dnskeeperd',
  section: 8,
  text: 'decides which DNS servers this machine uses, and writes resolv.conf',
  detail: [
    'dnskeeperd learns DNS servers from everything that hands them out, decides with fixed rules, and writes the decision to /run/dnskeeper/resolv.conf, to which it keeps /etc/resolv.conf linked. While systemd-resolved runs it leaves /etc/resolv.conf alone.',
    'Started without root it runs in user mode: it writes below $XDG_RUNTIME_DIR/dnskeeper and never touches /etc, so that anybody can try it.',
    'SIGHUP reads the configuration again. SIGUSR1 tells links, servers and counts to the log; SIGUSR2 forgets every remembered answer; SIGRTMIN+1 forgets what is known of servers; SIGRTMIN+18 gives memory back that nothing needs, all as systemd-resolved does. SIGTERM and SIGINT end it; the file it leaves behind names real servers.',
    'The listening sockets of the local resolver outlive a restart and a crash: systemd keeps copies of them (FileDescriptorStoreMax= in systemd.service(5)), and what is asked meanwhile waits in them. With dnskeeper.socket, which is not enabled unless the administrator does it, the first query starts dnskeeperd.',
    'systemd-resolved has the same addresses. A drop-in for its unit tells dnskeeperd before it starts and before it stops, so that each name is answered by one of the two. Where systemd-resolved is not installed, dnskeeper.service has its names as well, systemd-resolved.service and dbus-org.freedesktop.resolve1.service, for scripts that restart it by name and for programs that have the bus start it; so a call to that bus name starts a dnskeeper.service that was stopped, unless it is disabled.',
  ],
  options: [
    ROOT_OPTION,
    { name: '--config', value: 'FILE', text: 'Read FILE instead of /etc/dnskeeper/config.toml' },
    { name: '--check', text: 'Check the configuration, report what is wrong, and exit' },
    { name: '--record', value: 'FILE', text: 'Write every source event to FILE, one JSON object per line' },
    { name: '--replay', value: 'FILE', text: 'Take source events from a recording instead of the system' },
    { name: '--paced', needs: '--replay', text: 'With --replay: keep the recorded times between events' },
    {
      name: '--once',
      text: 'Apply what the sources say once, then exit; with --replay: after the last event',
    },
    {
      name: '--log-level',
      value: 'LEVEL',
      choices: ['error', 'warn', 'info', 'debug'],
      text: 'How much to log, over log.level of the configuration',
    },
    { name: '--user', text: 'Run in user mode, also as root' },
  ],
  exits: [
    { code: 0, text: 'It was asked to stop, or --check or --once succeeded.' },
    { code: 1, text: 'It could not start, or --check found something wrong; the message says what to do.' },
    USAGE_EXIT,
  ],
  environment: [
    { name: 'XDG_RUNTIME_DIR', text: 'Where the runtime folder goes in user mode.' },
    {
      name: 'LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES',
      text: 'Listening sockets that are given to it, see sd_listen_fds(3).',
    },
    {
      name: 'NOTIFY_SOCKET',
      text: 'Where it tells that it is ready, and has its sockets kept, see sd_notify(3).',
    },
    { name: 'DBUS_SYSTEM_BUS_ADDRESS', text: 'The system bus, if it is not at its usual place.' },
  ],
  files: [
    { path: '/etc/dnskeeper/config.toml', text: 'The configuration, see dnskeeper.toml(5).' },
    { path: '/etc/dnskeeper/conf.d/*.toml', text: 'Drop-ins of the administrator, read after it.' },
    { path: '/usr/lib/dnskeeper/conf.d/*.toml', text: 'Drop-ins of packages, read before it.' },
    {
      path: '/etc/dnskeeper/dnsmasq.d/*.conf, /etc/dnskeeper/unbound.d/*.conf',
      text: 'Further settings for the dnsmasq or unbound that is started where resolver.backend says so; read when it starts.',
    },
    {
      path: '/etc/dnskeeper/hooks.d/',
      text: "Programs that are run by name after every change of resolv.conf, with one JSON object on standard input: the change, what resolv.conf lists and why, and the plan, as in docs/status.md. DNSKEEPER_CAUSE holds the cause. Only root's programs that nobody else may write are run, from a folder that nobody else may write into, for at most ten seconds each; a change never waits for them, and of changes that come meanwhile only the latest is told. They are run by dnskeeper-hooks@.service, outside the confinement of dnskeeper.service; what they leave running ends with them. Where dnskeeper-hooks.socket is masked, or without systemd, dnskeeperd runs them itself; in user mode and with --root nobody does.",
    },
    { path: '/run/dnskeeper/resolv.conf', text: 'What /etc/resolv.conf links to.' },
    { path: '/run/dnskeeper/upstream.conf', text: 'The real servers, always.' },
    {
      path: '/run/systemd/resolve/stub-resolv.conf',
      text: 'A further name of /run/dnskeeper/resolv.conf while dnskeeperd stands in for systemd-resolved, for programs that look there.',
    },
    {
      path: '/run/systemd/resolve/resolv.conf',
      text: 'The real servers that may be asked for every name, for containers and others that cannot ask the local resolver; also while it stands in.',
    },
    { path: '/run/dnskeeper/io.dnskeeper', text: 'The control socket of dnsctl(1).' },
    {
      path: '/run/dnskeeper/records/',
      text: 'What programs have told resolvconf, see dnskeeper-resolvconf(8).',
    },
    { path: '/var/lib/dnskeeper/original/', text: 'What /etc/resolv.conf was before the first change.' },
  ],
  examples: [
    { line: 'dnskeeperd --check', text: 'Is the configuration right?' },
    { line: 'dnskeeperd --root demo --replay events.jsonl --once', text: 'What would these events lead to?' },
  ],
  seeAlso: [
    'dnsctl(1)',
    'dnskeeper-resolvconf(8)',
    'dnskeeper.toml(5)',
    'resolv.conf(5)',
    'NetworkManager(8)',
  ],
};
