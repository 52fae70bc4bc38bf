// @ts-check
// What the pages do with JavaScript. Each of them also works without.

follow();
for (const figure of document.querySelectorAll("figure.chart-box")) {
  const chart = figure.querySelector("svg");
  if (!(figure instanceof HTMLElement) || !chart) continue;
  readOut(figure, chart);
  chooseRange(chart);
}

/**
 * Shows the numbers under the pointer below a chart.
 * @param {HTMLElement} figure
 * @param {SVGSVGElement} chart
 */
function readOut(figure, chart) {
  const output = document.createElement("p");
  output.className = "read-out";
  // The table has the same numbers.
  output.setAttribute("aria-hidden", "true");
  const hint = "Point at the chart for its numbers. Drag over it to choose a range of time.";
  output.textContent = hint;
  figure.querySelector("figcaption")?.after(output);
  // Otherwise the browser shows the text, too.
  for (const tip of chart.querySelectorAll(".tip")) {
    const title = tip.querySelector("title");
    tip.setAttribute("data-text", title?.textContent ?? "");
    title?.remove();
  }
  chart.addEventListener("pointermove", (event) => {
    const tip = event.target instanceof Element ? event.target.closest(".tip") : null;
    output.textContent = tip?.getAttribute("data-text") ?? hint;
  });
  chart.addEventListener("pointerleave", () => {
    output.textContent = hint;
  });
}

/**
 * Lets the user drag over a chart to choose a range of time.
 * @param {SVGSVGElement} chart
 */
function chooseRange(chart) {
  const plot = chart.querySelector("rect.plot");
  if (!(plot instanceof SVGRectElement)) return;
  const since = Number(plot.dataset.since);
  const until = Number(plot.dataset.until);
  const left = plot.x.baseVal.value;
  const width = plot.width.baseVal.value;
  const brush = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  brush.classList.add("brush");
  brush.setAttribute("y", String(plot.y.baseVal.value));
  brush.setAttribute("height", String(plot.height.baseVal.value));
  /** @type {number | undefined} */
  let start;

  /**
   * Returns where in the plot a pointer is, from 0 to 1.
   * @param {PointerEvent} event
   */
  const place = (event) => {
    const matrix = chart.getScreenCTM();
    if (!matrix) return 0;
    const { x } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    return Math.min(Math.max((x - left) / width, 0), 1);
  };
  const stop = () => {
    start = undefined;
    brush.remove();
  };

  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = place(event);
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    if (start === undefined) return;
    const end = place(event);
    brush.setAttribute("x", String(left + Math.min(start, end) * width));
    brush.setAttribute("width", String(Math.abs(end - start) * width));
    if (!brush.isConnected) chart.append(brush);
  });
  chart.addEventListener("pointerup", (event) => {
    if (start === undefined) return;
    const [from, to] = [start, place(event)].sort((a, b) => a - b);
    stop();
    // A click is not a range.
    if (from === undefined || to === undefined || (to - from) * width < 6) return;
    const url = new URL(location.href);
    url.searchParams.delete("before");
    url.searchParams.set("since", String(Math.floor(since + from * (until - since))));
    url.searchParams.set("until", String(Math.ceil(since + to * (until - since))));
    location.assign(url);
  });
  chart.addEventListener("pointercancel", stop);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
}

/** Shows new requests on the page Live. */
function follow() {
  const state = document.querySelector("[data-live]");
  const body = document.querySelector("main tbody");
  if (!(state instanceof HTMLElement) || !(body instanceof HTMLTableSectionElement)) return;
  const url = new URL(state.dataset.live ?? "", location.href);
  const most = Number(state.dataset.rows);
  /** @type {EventSource | undefined} */
  let source;
  /** @type {number | undefined} */
  let again;

  const open = () => {
    source = new EventSource(url);
    source.addEventListener("open", () => tell("Following. The newest request comes first."));
    source.addEventListener("error", () => {
      tell("The connection is lost. Trying again.");
      // Browsers do not try again after an answer with an error, as of a busy server.
      if (source?.readyState === EventSource.CLOSED) again = window.setTimeout(open, 5_000);
    });
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
    window.clearTimeout(again);
    if (document.visibilityState === "visible") open();
  });
  open();
}
