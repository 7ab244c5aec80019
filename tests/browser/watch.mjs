// What no page may do: reach another host, violate its own policy, write errors to the console.

export function watch(page, origin, problems) {
  const note = (what) => problems.push(`${new URL(page.url()).pathname || page.url()}: ${what}`);
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !["data:", "blob:"].includes(url.protocol)) note(`asks another host: ${url}`);
  });
  page.on("console", (message) => {
    // Invalid fields are answered with 422, which Chromium writes to its console.
    if (message.type() === "error" && !message.text().includes("status of 422")) note(`writes an error: ${message.text()}`);
  });
  page.on("pageerror", (error) => note(`throws: ${error.message}`));
}
