// Every screen at two widths and in both themes: no finding of axe-core, no sideways scrolling, and light enough.

import { findings } from "./axe.mjs";

const WIDTHS = [360, 1440];
const THEMES = ["light", "dark"];
const PAGE_BYTES = 100 * 1024;

export async function screens(context, origin, paths, report) {
  const page = await context.newPage();
  report.watch(page);
  for (const path of paths) {
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      for (const colorScheme of THEMES) {
        await page.emulateMedia({ colorScheme });
        const response = await page.goto(origin + path);
        const name = `${path} at ${width} px, ${colorScheme}`;
        report.check(response.status() === 200, `${name}: status ${response.status()}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        report.check(overflow <= 0, `${name}: ${overflow} px wider than the window`);
        for (const finding of await findings(page)) report.fail(`${name}: ${finding}`);
      }
    }
    report.check((await weight(page)) <= PAGE_BYTES, `${path}: ${await weight(page)} bytes`);
  }
  await page.close();
}

// Bytes of the page and all it loaded, without sound: decoded, so that a warm cache hides nothing.
const weight = (page) =>
  page.evaluate(() =>
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .filter(({ initiatorType }) => !["audio", "video"].includes(initiatorType))
      .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0),
  );
