// `bedel dev` with one worker and a fresh directory, as a new user starts it.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const START_SECONDS = 90;
// Settings of the caller's shell that the server must not inherit.
const SETTINGS = /^(BEDEL_|CDCS_|PG|COURSE_SYNC|DATABASE_URL|PANOPTO_TENANTS|CLEANUP_CRON)/;

export async function start(program) {
  const directory = await mkdtemp(join(tmpdir(), "bedel-browser-"));
  const inherited = Object.entries(process.env).filter(([name]) => name === "BEDEL_MODEL_DIR" || !SETTINGS.test(name));
  const options = ["dev", "--exit-with-parent", "--workers", "1", "--listen", "127.0.0.1:0", "--data-dir", join(directory, "data")];
  const child = spawn(program, options, { cwd: directory, env: { ...Object.fromEntries(inherited), BEDEL_WEBHOOK_ALLOW: "127.0.0.1" }, stdio: ["pipe", "pipe", "pipe"] });
  const lines = [];
  const announced = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`not ready after ${START_SECONDS} s:\n${lines.join("\n")}`)), START_SECONDS * 1000);
    const found = {};
    const read = (line) => {
      lines.push(line);
      const ready = line.match(/^ready: (http:\S+)/);
      const token = line.match(/^token: (\S+)/);
      const link = line.match(/(http:\S+\/ui\/sign-in\/\S+)/);
      if (ready) found.url = ready[1];
      if (token) found.token = token[1];
      if (link) found.link = link[1];
      if (found.url && found.token && found.link) {
        clearTimeout(late);
        resolve(found);
      }
    };
    createInterface({ input: child.stdout }).on("line", read);
    createInterface({ input: child.stderr }).on("line", read);
    child.once("exit", (code) => reject(new Error(`bedel dev ended with ${code}:\n${lines.join("\n")}`)));
  });
  const stop = async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.stdin.end();
    child.kill("SIGTERM");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    return { ...(await announced), log: lines, stop };
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}
