// The reference server on a free loopback port. By itself it listens on every interface and does
// not print its port. This file changes both.
import net from "node:net";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  this.once("listening", () => {
    console.log(`ready http://127.0.0.1:${this.address().port}/mcp`);
  });
  return listen.call(this, port, "127.0.0.1", ...rest);
};
process.env.PORT = "0";
process.argv[2] = "streamableHttp";
await import("./node_modules/@modelcontextprotocol/server-everything/dist/index.js");
