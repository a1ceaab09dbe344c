/** What a resolv.conf of anybody's says; unknown lines are ignored as libc does. */
export interface ResolvConf {
  /** Leading comment lines without the `#` or `;`. */
  readonly comments: readonly string[];
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Read a resolv.conf(5) text the way glibc does: keyword in column 0, last search or domain line wins. */
export function parseResolvConf(file: string): ResolvConf {
  const comments: string[] = [];
  const nameservers: string[] = [];
  const options: string[] = [];
  let search: readonly string[] = [];
  let leading = true;
  for (const line of file.slice(0, 65536).split('\n')) {
    if (/^[#;]/.test(line)) {
      if (leading) comments.push(line.slice(1).trim());
      continue;
    }
    const [keyword = '', ...words] = line.trimEnd().split(/[ \t]+/);
    if (keyword !== '') leading = false;
    if (keyword === 'nameserver' && words[0] !== undefined) nameservers.push(words[0]);
    else if (keyword === 'search' || keyword === 'domain') search = words;
    else if (keyword === 'options') options.push(...words);
  }
  return { comments, nameservers, search, options };
}
