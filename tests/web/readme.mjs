// Takes the pictures of the pages in the README.
//
//     node readme.mjs MCP_STORE FILE DIRECTORY

import { launch, paths, serve } from "./browser.mjs";

const [command, db, directory] = process.argv.slice(2);
const { url, stop } = await serve(command, db);
const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  const all = paths(command, db, "since=7d");
  for (const [name, path, height] of [
    ["overview", all.overview, 900],
    ["session", all.session, 620],
  ]) {
    await page.setViewportSize({ width: 1100, height });
    await page.goto(url + path);
    await page.screenshot({ path: `${directory}/serve-${name}.png` });
  }
} finally {
  await browser.close();
  stop();
}
