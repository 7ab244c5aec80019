// What people do with the pages.

import { createServer } from "node:http";
import { join } from "node:path";

const TRANSCRIPT_SECONDS = 120;
const WORKER_SECONDS = 40;

// From the link that `bedel dev` prints to the transcript, in five clicks or fewer. Returns the lecture's path.
export async function firstLecture(context, { url, link }, root, report) {
  const page = await context.newPage();
  report.watch(page);
  // The link is clicked in a terminal.
  let clicks = 1;
  await page.goto(link);
  const click = async (locator) => {
    clicks += 1;
    await locator.click();
  };
  await click(page.getByRole("button", { name: "Sign in" }));
  await click(page.getByRole("link", { name: "Add a lecture" }).first());
  // Choosing a file takes one click on the field.
  clicks += 1;
  await page.locator("#audio").setInputFiles(join(root, "examples/demo/lecture.m4a"));
  await click(page.getByRole("button", { name: "Upload" }));
  await page.waitForURL(/\/ui\/lectures\/[0-9a-f-]{36}/, { timeout: 30_000 });
  const first = page.locator("[data-at]").first();
  await first.waitFor({ timeout: TRANSCRIPT_SECONDS * 1000 });
  report.check(clicks <= 5, `${clicks} clicks to a transcript`);

  // A click on the transcript moves the sound, and the text follows the sound.
  const later = page.locator("[data-at]").last();
  const start = Number(await later.getAttribute("data-at"));
  await later.click();
  await page.waitForFunction((start) => Math.abs(document.querySelector("audio").currentTime - start) < 1, start);
  report.check(start > 0, "the transcript has one segment only");
  const path = new URL(page.url()).pathname;
  await page.close();
  report.check(path.length > 0 && url.length > 0, "a lecture has an address");
  return path;
}

// Over plain HTTP and under a name that is not this machine's, browsers send no Fetch Metadata: `Origin` has to do. Begins
// on the page of the used link, whose referrer policy must not hide the origin. Then one tab signs the other out.
export async function signInAndOut(browser, { url, link, token }, report) {
  const far = (address) => address.replace("127.0.0.1", "bedel.example");
  const context = await browser.newContext();
  const [page, other] = [await context.newPage(), await context.newPage()];
  await page.goto(far(link));
  await page.getByLabel("Token").fill(token);
  const [request] = await Promise.all([page.waitForRequest((request) => request.method() === "POST"), page.getByRole("button", { name: "Sign in" }).click()]);
  await page.waitForURL("**/ui/lectures");
  const headers = await request.allHeaders();
  report.check(headers["sec-fetch-site"] === undefined, "Fetch Metadata over plain HTTP: this story tries nothing");
  report.check(headers.origin === new URL(far(url)).origin, `the form's origin is ${headers.origin}`);
  report.check(!(headers.referer ?? "").includes("/sign-in/"), `the code is in the Referer ${headers.referer}`);

  const stream = other.waitForResponse((response) => response.url().includes("/ui/live"));
  await other.goto(far(`${url}/ui/lectures`));
  await stream;
  await page.getByRole("button", { name: "Sign out" }).click();
  await other.waitForURL("**/ui/sign-in?next=**", { timeout: 5000 });
  await page.waitForURL("**/ui/sign-in", { timeout: 5000 });
  report.check((await context.cookies()).length === 0, "signing out leaves a cookie");
  await context.close();
}

// With the keyboard alone: the skip link, every control in sight when it has the focus, an error at its field.
export async function keyboard(context, { url }, lecture, report) {
  const page = await context.newPage();
  report.watch(page);
  await page.goto(`${url}/ui/lectures/new`);
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.textContent);
  report.check(/skip/i.test(first), `the first stop of Tab is "${first}"`);
  await page.keyboard.press("Enter");
  report.check(await page.evaluate(() => document.activeElement.id === "main"), "the skip link does not lead to the content");
  await page.locator("#panopto_url").focus();
  await page.keyboard.type("https://example.com/");
  await page.keyboard.press("Enter");
  const field = page.locator("#panopto_url[aria-invalid='true']");
  await field.waitFor({ timeout: 5000 });
  report.check((await field.getAttribute("aria-describedby")) !== null, "an error is not tied to its field");

  await page.goto(url + lecture);
  const hidden = await page.evaluate(() => {
    const stops = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")];
    return stops.filter((stop) => stop.tabIndex > 0).map((stop) => stop.outerHTML);
  });
  for (const stop of hidden) report.fail(`an order of its own: ${stop}`);
  const segment = page.locator("[data-at]").last();
  await segment.focus();
  await page.keyboard.press("Enter");
  const start = Number(await segment.getAttribute("data-at"));
  await page.waitForFunction((start) => Math.abs(document.querySelector("audio").currentTime - start) < 1, start);
  report.check(true, "Enter on a segment moves the sound");
  await page.close();
}

// A test message arrives at a receiver on this machine.
export async function webhook(context, { url }, _lecture, report) {
  const arrived = [];
  const receiver = createServer((request, response) => {
    arrived.push(request.headers);
    response.writeHead(204).end();
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const page = await context.newPage();
  report.watch(page);
  await page.goto(`${url}/ui/webhooks`);
  await page.locator("input[name='url']").fill(`http://127.0.0.1:${receiver.address().port}/hook`);
  await page.getByRole("button", { name: /add/i }).first().click();
  await page.goto(`${url}/ui/webhooks`);
  await page.locator("main table a").first().click();
  await page.getByRole("button", { name: "Send a test" }).click();
  const deadline = Date.now() + 30_000;
  while (arrived.length === 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
  report.check(arrived.length > 0, "no message arrived");
  report.check(/^v1,/.test(arrived[0]?.["webhook-signature"] ?? ""), "the message is not signed");
  await page.close();
  receiver.close();
}

// A worker dies under the page's eyes, and its successor shows up without a reload.
export async function killedWorker(context, { url }, report) {
  const page = await context.newPage();
  report.watch(page);
  await page.goto(`${url}/ui/admin/workers`);
  const names = () => page.locator("main table tbody th").allInnerTexts();
  const pids = async () => (await names()).map((name) => Number(name.match(/:(\d+)/)?.[1])).filter(Boolean);
  const before = await pids();
  report.check(before.length > 0, "no worker is listed");
  process.kill(before[0], "SIGKILL");
  const deadline = Date.now() + WORKER_SECONDS * 1000;
  let seen = false;
  while (!seen && Date.now() < deadline) {
    seen = (await pids()).some((pid) => !before.includes(pid));
    if (!seen) await page.waitForTimeout(250);
  }
  report.check(seen, `no new worker on the page within ${WORKER_SECONDS} s`);
  await page.close();
}
