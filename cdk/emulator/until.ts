const PATIENCE_MS = 300_000;

/** Repeats a request until it returns something true, for a time that only failing tests reach. */
export async function until<T>(request: () => Promise<T | undefined>, what: string): Promise<T> {
  const begun = Date.now();
  for (;;) {
    const found = await request();
    if (found) {
      return found;
    }
    if (Date.now() - begun > PATIENCE_MS) {
      throw new Error(`waited ${PATIENCE_MS / 1_000} s for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
