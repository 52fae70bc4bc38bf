// Takes the pictures of the pages in the README.
//
//     node readme.mjs MCP_STORE FILE DIRECTORY

import { launch, paths, serve } from "./browser.mjs";

const [command, db, directory] = process.argv.slice(2);
const { url, stop } = await serve(command, db);
const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const all = paths(command, db, "since=7d");
  for (const name of ["overview", "session"]) {
    await page.goto(url + all[name]);
    // Down to the end of the first chart.
    const chart = await page.locator("figure .scroll").first().boundingBox();
    const clip = { x: 0, y: 0, width: 1200, height: Math.ceil(chart.y + chart.height) };
    await page.screenshot({ path: `${directory}/serve-${name}.png`, fullPage: true, clip });
  }
} finally {
  await browser.close();
  stop();
}
