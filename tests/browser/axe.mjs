// Accessibility by axe-core: findings of the two gravest levels.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

const source = await readFile(join(process.env.BEDEL_BROWSER_MODULES, "axe-core/axe.min.js"), "utf8");

export async function findings(page) {
  // Through the debugger: the page's own policy allows no foreign script.
  await page.evaluate(source);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")} (${node.failureSummary.split("\n").at(-1).trim()})`));
}
