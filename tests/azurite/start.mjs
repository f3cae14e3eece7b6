// Starts Azurite with one container and prints its endpoint. Exits at the end of standard input, and therefore also
// when the test program crashes.
//
//   node start.mjs FOLDER ACCOUNT KEY CONTAINER    prints http://127.0.0.1:PORT/ACCOUNT

import { createHmac } from "node:crypto";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";

const [folder, account, key, container] = process.argv.slice(2);
const VERSION = "2021-12-02";

process.stdin.on("end", () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit();
});
process.stdin.resume();

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

// https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
async function createContainer(endpoint) {
  const date = new Date().toUTCString();
  const toSign = [
    "PUT", ...Array(11).fill(""),
    `x-ms-date:${date}`, `x-ms-version:${VERSION}`,
    `/${account}/${account}/${container}`, "restype:container",
  ].join("\n");
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(toSign).digest("base64");
  const answer = await fetch(`${endpoint}/${container}?restype=container`, {
    method: "PUT",
    headers: { "x-ms-date": date, "x-ms-version": VERSION, Authorization: `SharedKey ${account}:${signature}` },
  });
  if (answer.status !== 201) throw new Error(`no container: ${answer.status} ${await answer.text()}`);
}

const port = await freePort();
process.env.AZURITE_ACCOUNTS = `${account}:${key}`;
process.argv.splice(
  2, Infinity,
  "--blobHost", "127.0.0.1", "--blobPort", String(port), "--location", folder,
  "--silent", "--skipApiVersionCheck", "--disableTelemetry",
);
// Standard output carries the endpoint only.
console.log = console.error;
createRequire(import.meta.url)("azurite/dist/src/blob/main.js");

const endpoint = `http://127.0.0.1:${port}/${account}`;
for (;;) {
  try {
    await createContainer(endpoint);
    break;
  } catch (error) {
    // Azurite does not listen yet.
    if (error.cause?.code !== "ECONNREFUSED") throw error;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
process.stdout.write(`${endpoint}\n`);
