// Usage: main.mjs ROOT [--screenshots]. See script/browser.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { Report } from "./report.mjs";
import { screens } from "./screens.mjs";
import { start } from "./server.mjs";
import { firstLecture, keyboard, killedWorker, signInAndOut, webhook } from "./stories.mjs";

const [root, ...options] = process.argv.slice(2);
const { chromium } = await import(join(process.env.BEDEL_BROWSER_MODULES, "playwright-core/index.mjs"));

const server = await start(join(root, "target/debug/bedel"));
// Root may not use Chromium's sandbox. The name is that of another machine to the browser.
const args = ["--host-resolver-rules=MAP bedel.example 127.0.0.1", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
const report = new Report(server.url);
try {
  const context = await browser.newContext();
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  const lecture = await firstLecture(context, server, root, report);
  await signInAndOut(browser, server, report);
  await keyboard(context, server, lecture, report);
  await webhook(context, server, lecture, report);
  await killedWorker(context, server, report);
  const paths = await pages(context, lecture);
  await screens(context, server.url, paths, report);
  if (options.includes("--screenshots")) await pictures(context, lecture);
} catch (error) {
  report.fail(error.stack);
  console.error(server.log.slice(-40).join("\n"));
} finally {
  await browser.close();
  await server.stop();
}
for (const problem of report.problems) console.log(`- ${problem}`);
console.log(`${report.checks} checks, ${report.problems.length} failed`);
process.exit(report.problems.length === 0 ? 0 : 1);

// Every entry of the sidebar, the pages behind them, and those of one lecture and one job.
async function pages(context, lecture) {
  const page = await context.newPage();
  await page.goto(`${server.url}/ui/lectures`);
  const entries = await page.locator("nav.side ul a").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
  await page.goto(`${server.url}/ui/admin/jobs`);
  const job = await page.locator("main table a[href^='/ui/admin/jobs/']").first().getAttribute("href");
  await page.close();
  return [...entries, "/ui/lectures/new", lecture, "/ui/search?q=bees", job];
}

async function pictures(context, lecture) {
  const directory = join(root, "docs/images");
  await mkdir(directory, { recursive: true });
  const page = await context.newPage();
  const shots = {
    lectures: ["/ui/lectures", 1280, "light"],
    lecture: [lecture, 1280, "dark"],
    search: ["/ui/search?q=the", 1280, "light"],
    overview: ["/ui/admin/overview", 1280, "light"],
    jobs: ["/ui/admin/jobs", 1280, "dark"],
    phone: [lecture, 360, "light"],
  };
  for (const [name, [path, width, colorScheme]] of Object.entries(shots)) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await page.goto(server.url + path);
    await page.screenshot({ path: join(directory, `${name}.png`) });
  }
  await page.close();
}
