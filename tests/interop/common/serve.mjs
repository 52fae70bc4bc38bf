import { createServer } from "node:http";

/** Serves on a free loopback port and says where; `routes` maps paths to handlers. */
export function serve(routes) {
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, "http://127.0.0.1");
    try {
      const route = routes[url.pathname];
      await (route ? route(req, res, url) : res.writeHead(404).end());
    } catch (error) {
      console.error(error);
      if (!res.headersSent) res.writeHead(500);
      res.end();
    }
  });
  server.listen(0, "127.0.0.1", () => {
    console.log(`ready http://127.0.0.1:${server.address().port}/mcp`);
  });
}
