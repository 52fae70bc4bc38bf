// A load balancer. Each request goes to the next replica.
//
//     node balancer.mjs pinned|rotating URL...
//
// `pinned` sends the requests of a session to the replica that began it. All URLs have the same
// path. When it is told to end, it prints how many requests each replica got.
import { Agent, createServer, request } from "node:http";

const [way, ...replicas] = process.argv.slice(2);
const counts = replicas.map(() => 0);
const pins = new Map();
let turn = 0;

// A kept connection may close while it gets the next request.
const agent = new Agent({ keepAlive: false });

function replicaOf(session) {
  if (pins.has(session)) return pins.get(session);
  turn += 1;
  return turn % replicas.length;
}

const server = createServer((req, res) => {
  const replica = replicaOf(req.headers["mcp-session-id"]);
  counts[replica] += 1;
  const url = new URL(req.url, replicas[replica]);
  const headers = { ...req.headers, host: url.host };
  const onward = request(url, { agent, method: req.method, headers }, (answer) => {
    const session = answer.headers["mcp-session-id"];
    if (way === "pinned" && session) pins.set(session, replica);
    res.writeHead(answer.statusCode, answer.rawHeaders);
    res.flushHeaders();
    answer.pipe(res);
    // An answer that breaks off must not look like one that ends.
    answer.on("error", () => res.destroy());
  });
  onward.on("error", () => res.destroy());
  // The client left, or has its answer.
  res.on("close", () => onward.destroy());
  req.pipe(onward);
});
server.listen(0, "127.0.0.1", () => {
  const { pathname } = new URL(replicas[0]);
  console.log(`ready http://127.0.0.1:${server.address().port}${pathname}`);
});
process.on("SIGTERM", () => {
  console.log(JSON.stringify(counts));
  process.exit();
});
