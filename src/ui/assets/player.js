// A lecture: the transcript follows the sound, a click or Enter on a line seeks, #t=123 starts there.
(() => {
  const audio = () => document.getElementById("audio");
  const segments = () => [...document.querySelectorAll("#transcript .segment")];
  let lines = [];
  let starts = [];
  let current = null;
  let userScrolledAt = 0;

  const collect = () => {
    lines = segments();
    starts = lines.map((line) => Number(line.dataset.at));
    current = null;
  };
  // The last line that starts at or before a second.
  const lineAt = (second) => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= second + 0.05) low = middle + 1; else high = middle;
    }
    return lines[low - 1] ?? null;
  };
  const show = (line, isForced) => {
    if (line === current) return;
    current?.removeAttribute("aria-current");
    current = line;
    if (!line) return;
    line.setAttribute("aria-current", "true");
    if (isForced || Date.now() - userScrolledAt > 4000) line.scrollIntoView({ block: "center" });
  };
  const seek = (second, plays) => {
    const player = audio();
    if (player) {
      player.currentTime = second;
      if (plays) player.play().catch(() => {});
    }
    show(lineAt(second), true);
  };
  const seekToHash = () => {
    const found = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash);
    if (found) seek(Number(found[1]), false);
  };

  for (const name of ["wheel", "touchmove"]) addEventListener(name, () => { userScrolledAt = Date.now(); }, { passive: true });
  addEventListener("hashchange", seekToHash);
  document.addEventListener("htmx:after:swap", () => {
    const fresh = segments();
    if (fresh.length && fresh[0] !== lines[0]) {
      collect();
      seekToHash();
    }
  });
  document.addEventListener("timeupdate", (event) => {
    if (event.target !== audio()) return;
    const second = event.target.currentTime;
    // Following must not move the page while the sound is paused.
    if (!event.target.paused) show(lineAt(second), false);
    const viewer = document.getElementById("viewer");
    if (viewer) {
      const url = new URL(viewer.href);
      url.searchParams.set("start", String(Math.floor(second)));
      viewer.href = url.href;
    }
  }, true);
  document.addEventListener("click", (event) => {
    const line = event.target.closest?.(".segment");
    if (line) seek(Number(line.dataset.at), true);
  });
  document.addEventListener("keydown", (event) => {
    const line = event.target.closest?.(".segment");
    if (!line || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    const visible = lines.filter((one) => !one.closest("li").hidden);
    const next = visible[visible.indexOf(line) + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
  document.addEventListener("input", (event) => {
    if (event.target.id !== "find") return;
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const line of lines) {
      const text = line.lastElementChild.textContent.toLowerCase();
      const isFound = words.every((word) => text.includes(word));
      line.closest("li").hidden = !isFound;
      if (isFound) count += 1;
    }
    const found = document.getElementById("found");
    if (found) found.textContent = words.length ? `${count} of ${lines.length} lines` : "";
  });
})();
