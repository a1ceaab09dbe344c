/**
 * Whether a domain is a public suffix such as `com` or `co.uk` (publicsuffix.org, the list that the library carries).
 * Loaded when first asked: most machines have no dot in their name and never need its 10 MB.
 */
export async function isPublicSuffix(domain: string): Promise<boolean> {
  const { parse } = await import('tldts');
  const { publicSuffix, isIcann, isPrivate } = parse(domain, { allowPrivateDomains: true });
  return publicSuffix === domain && (isIcann === true || isPrivate === true);
}
