// @ts-check
// What the pages do with JavaScript. Each of them also works without.

follow();

/** Shows new requests on the page Live. */
function follow() {
  const state = document.querySelector("[data-live]");
  const body = document.querySelector("main tbody");
  if (!(state instanceof HTMLElement) || !(body instanceof HTMLTableSectionElement)) return;
  const url = new URL(state.dataset.live ?? "", location.href);
  const most = Number(state.dataset.rows);
  /** @type {EventSource | undefined} */
  let source;

  const open = () => {
    source = new EventSource(url);
    source.addEventListener("open", () => tell("Following. The newest request comes first."));
    source.addEventListener("error", () => tell("The connection is lost. Trying again."));
    source.addEventListener("problem", (event) => tell(event.data));
    source.addEventListener("rows", (event) => {
      // A hidden page comes back here.
      url.searchParams.set("after", event.lastEventId);
      add(event.data);
    });
  };

  /** @param {string} text */
  const tell = (text) => {
    if (state.textContent !== text) state.textContent = text;
  };

  /**
   * Adds rows that the page does not have.
   * @param {string} html Rows, which the server has escaped.
   */
  const add = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const row of template.content.querySelectorAll("tr[data-id]")) {
      const id = row.getAttribute("data-id") ?? "";
      if (body.querySelector(`tr[data-id="${CSS.escape(id)}"]`)) row.remove();
    }
    body.prepend(template.content);
    while (body.rows.length > most) body.rows[body.rows.length - 1]?.remove();
  };

  // Browsers have six connections for a host, so a hidden page gives its own back.
  document.addEventListener("visibilitychange", () => {
    source?.close();
    if (document.visibilityState === "visible") open();
  });
  open();
}
