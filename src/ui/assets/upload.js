// Uploads a file to the API with progress. Errors appear at their fields.
(() => {
  const note = (form, name, text) => {
    const control = form.querySelector(`[name="${name}"]`);
    const id = control?.getAttribute("aria-describedby");
    const place = (id && document.getElementById(id)) || form.querySelector("[data-error]");
    control?.setAttribute("aria-invalid", "true");
    const line = document.createElement("p");
    line.className = "error";
    line.textContent = text;
    place.append(line);
  };
  const clear = (form) => {
    for (const line of form.querySelectorAll(".error")) line.remove();
    for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  };

  const body = (form) => {
    const data = new FormData(form);
    const part = form.dataset.part;
    if (part !== "audio") return data;
    const metadata = {};
    for (const [name, value] of data) if (name !== part && value) metadata[name] = value;
    const file = data.get(part);
    metadata.title ||= file.name.replace(/\.[^.]+$/, "");
    const parts = new FormData();
    parts.append("metadata", JSON.stringify(metadata));
    parts.append(part, file);
    return parts;
  };

  const answer = (request) => {
    try { return JSON.parse(request.responseText); } catch { return {}; }
  };

  const send = (form) => {
    clear(form);
    const button = form.querySelector("button");
    const progress = form.querySelector("[data-progress]");
    const bar = progress.querySelector("progress");
    const text = progress.querySelector("[data-progress-text]");
    const request = new XMLHttpRequest();
    const end = () => {
      button.disabled = false;
      progress.hidden = true;
    };
    request.open("POST", form.dataset.upload);
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const percent = Math.floor((event.loaded / event.total) * 100);
      bar.value = percent;
      text.textContent = percent < 100 ? `${percent} %` : "Checking the file …";
    });
    request.addEventListener("load", () => {
      const result = answer(request);
      if (request.status >= 200 && request.status < 300) {
        location.href = form.dataset.done.replace(/\{(\w+)\}/, (_, name) => result[name]);
        return;
      }
      end();
      if (request.status === 401) return location.reload();
      for (const error of result.errors ?? []) note(form, error.field, error.message);
      if (!result.errors?.length) note(form, form.dataset.part, result.detail ?? "The upload failed. Try it again.");
      form.querySelector("[aria-invalid]")?.focus();
    });
    request.addEventListener("error", () => {
      end();
      note(form, form.dataset.part, "The connection broke. Try it again.");
    });
    button.disabled = true;
    progress.hidden = false;
    request.send(body(form));
  };

  for (const form of document.querySelectorAll("form[data-upload]")) {
    const drop = form.querySelector("[data-drop]");
    const input = drop.querySelector("input[type=file]");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(form);
    });
    for (const name of ["dragenter", "dragover"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) input.files = event.dataTransfer.files;
    });
  }
})();
