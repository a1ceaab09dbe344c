/**
 * Wait until `check` holds; fail with `what` when it does not in time. The time is for a machine that is far slower than this
 * one, and less than a test has, so that the failure says what was waited for.
 */
export async function until(
  check: () => boolean | Promise<boolean>,
  what: string,
  ms = 15_000,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
