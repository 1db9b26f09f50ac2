// A relay on node's ws: `node ws_relay.mjs PATH-OF-WS URL [AUTHORITY]`. Prints its port.
//
// Without compression. What comes in one turn of the event loop goes to each client with one write
// (cork); ws sets TCP_NODELAY. It neither routes nor records.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [path, url, authority] = process.argv.slice(2);
const { WebSocket, WebSocketServer } = createRequire(import.meta.url)(path);

const sockets = new Map(); // of each client
const options = { binary: false, compress: false };
let corked = false;

function uncork() {
  corked = false;
  for (const socket of sockets.values()) socket.uncork();
}

const tls = authority === undefined ? {} : { ca: readFileSync(authority) };
const source = new WebSocket(url, { perMessageDeflate: false, allowSynchronousEvents: true, ...tls });

source.on("message", (data) => {
  if (!corked) {
    corked = true;
    for (const socket of sockets.values()) socket.cork();
    setImmediate(uncork);
  }
  for (const client of sockets.keys()) client.send(data, options);
});
source.on("close", () => process.exit());

source.on("open", () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (client, request) => {
    sockets.set(client, request.socket);
    client.on("message", () => client.send('{"result":null,"id":1}', options));
    client.on("close", () => sockets.delete(client));
  });
});
