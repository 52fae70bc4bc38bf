// Takes pictures of each page, at three widths in both schemes of colours.
//
//     node pictures.mjs MCP_STORE FILE DIRECTORY [PAGE...]

import { mkdirSync } from "node:fs";
import { launch, paths, serve } from "./browser.mjs";

const [command, db, directory, ...only] = process.argv.slice(2);
mkdirSync(directory, { recursive: true });
const { url, stop } = await serve(command, db);
const browser = await launch();
try {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [400, 800, 1280]) {
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
      for (const [name, path] of Object.entries(paths(command, db, "since=7d"))) {
        if (only.length && !only.includes(name)) continue;
        await page.goto(url + path);
        const file = `${directory}/${name}-${width}-${colorScheme}.png`;
        await page.screenshot({ path: file, fullPage: true });
      }
      await page.close();
    }
  }
} finally {
  await browser.close();
  stop();
}
