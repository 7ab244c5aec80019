// Live updates and times. htmx swaps what the server sends over /ui/live.
(() => {
  // --- times: absolute from the server, relative here ---
  const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  const showTime = (element) => {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) return;
    element.title = exact.format(time);
    const seconds = (time - Date.now()) / 1000;
    const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    const text = unit === "second" && Math.abs(seconds) < 45 ? "just now" : relative.format(Math.round(seconds / size), unit);
    if (element.textContent !== text) element.textContent = text;
  };
  const showTimes = (root) => {
    for (const element of root.querySelectorAll?.("time[datetime]") ?? []) showTime(element);
  };
  setInterval(() => showTimes(document), 30000);
  addEventListener("DOMContentLoaded", () => showTimes(document));
  document.addEventListener("htmx:after:swap", () => showTimes(document));

  // --- the live stream ---
  const banner = (isShown) => {
    const element = document.getElementById("outage");
    if (element) element.hidden = !isShown;
  };
  document.addEventListener("outage", () => banner(true));
  document.addEventListener("healed", () => banner(false));
  // The tab that signs out is on its way to the sign-in page already: a reload would stop it.
  let isSigningOut = false;
  document.addEventListener("submit", (event) => {
    isSigningOut ||= event.target.getAttribute("action") === "/ui/sign-out";
  });
  document.addEventListener("signed-out", () => isSigningOut || location.reload());
  document.addEventListener("htmx:sse:error", () => banner(true));
  // Events sent while there was no connection are lost, so a new connection refreshes what events refresh.
  let connections = 0;
  document.addEventListener("htmx:sse:after:connection", (event) => {
    banner(false);
    connections += 1;
    if (connections === 1) return;
    for (const topic of (event.target.dataset.refresh ?? "").split(" ").filter(Boolean)) {
      htmx.trigger(event.target, topic);
    }
  });
  // Browsers allow six connections to a site over HTTP/1.1. A tab opened in the background connects once it is shown;
  // htmx itself closes the stream of a tab that is hidden later.
  document.addEventListener("htmx:before:request", (event) => {
    if (event.target?.id === "live" && document.hidden) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    const live = document.getElementById("live");
    if (live && !document.hidden && connections === 0) htmx.trigger(live, "connect-again");
  });
  // htmx reconnects a stream that was open once. A first connection that was refused is tried again here.
  document.addEventListener("htmx:after:request", (event) => {
    const element = event.target;
    if (element?.id !== "live" || event.detail?.ctx?.response?.status < 400) return;
    setTimeout(() => htmx.trigger(element, "connect-again"), 5000);
  });
  // A filter is applied when it changes.
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("[data-submit-on-change]")) event.target.form.requestSubmit();
  });
})();
