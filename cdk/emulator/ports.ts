import { createServer } from 'node:net';

/** The first of several ports in a row that nothing listens on, for the endpoints of relays. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = await freePort(0);
    const others = Array.from({ length: count - 1 }, (_, index) => first + 1 + index);
    if (first + count <= 65_536 && (await Promise.all(others.map(isFree))).every(Boolean)) {
      return first;
    }
  }
}

/** Whether nothing listens on a port. */
export async function isFree(port: number): Promise<boolean> {
  return (await freePort(port).catch(() => undefined)) === port;
}

/** Listens on a port for a moment; 0 is any free port. */
function freePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(wanted, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
