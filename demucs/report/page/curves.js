// Line charts: colour and marker tell the line; with several runs the dash and the marker tell the run.
// A series of no run (null) is a published one: dotted, in the colour of the text.

const DASHES = ["", "6 4", "2 3", "8 3 2 3"];
const MARKERS = [
  "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0",
  "M0 -4L3.8 3H-3.8Z",
  "M-2.8 -2.8H2.8V2.8H-2.8Z",
  "M0 -4L4 0L0 4L-4 0Z",
  "M0 4L3.8 -3H-3.8Z",
];
const hiddenRuns = new Set();
const charts = [];

function lineStyle(line, run) {
  const several = DATA.runs.length > 1;
  if (run === null) return { colour: "ink", dash: "2 4", marker: MARKERS[3] };
  return {
    colour: `c${line % 7}`,
    dash: DASHES[(several ? run : 0) % DASHES.length],
    marker: MARKERS[(several ? run : line) % MARKERS.length],
  };
}

/** Round values that cover low to high, about `count` of them. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push(at * step);
  return { values: found, digits: Math.max(0, Math.min(8, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0))) };
}

function significant(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return shownNumber(value, size >= 100 ? 1 : size >= 1 ? 2 : size >= 0.01 ? 4 : 6);
}

class Chart {
  constructor(figure, panel) {
    this.panel = panel;
    this.plot = figure.querySelector(".plot");
    this.legend = figure.querySelector(".legend");
    this.hidden = new Set();
    this.epoch = panel.epochs;
    this.buildLegend();
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerdown", (event) => this.point(event));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.plot);
    this.draw();
  }

  series() {
    return this.panel.series.filter((one) => !this.hidden.has(one.name) && !hiddenRuns.has(one.run));
  }

  buildLegend() {
    this.values = new Map();
    for (const [index, name] of this.panel.lines.entries()) {
      const own = this.panel.series.filter((one) => one.name === name);
      if (!own.length) continue;
      const value = element("span", { class: "value" });
      this.values.set(name, value);
      const swatch = lineSwatch(lineStyle(index, own[0].run), DATA.runs.length > 1 && own[0].run !== null);
      this.legend.append(element("button", {
        type: "button", "aria-pressed": "true",
        click: (event) => {
          const off = !this.hidden.delete(name);
          if (off) this.hidden.add(name);
          event.currentTarget.setAttribute("aria-pressed", String(!off));
          this.draw();
        },
      }, swatch, element("span", {}, name), value));
    }
    this.at = element("span", { class: "at" });
    this.legend.prepend(this.at);
  }

  draw() {
    const width = Math.max(240, Math.floor(this.plot.clientWidth));
    const height = Math.round(Math.min(300, Math.max(180, width * 0.45)));
    const series = this.series();
    const values = series.flatMap((one) => one.points.map((point) => point[1])).filter((one) => one !== null);
    let low = values.length ? Math.min(...values) : 0;
    let high = values.length ? Math.max(...values) : 1;
    if (low === high) [low, high] = [low - Math.max(Math.abs(low) * 0.1, 1e-6), high + Math.max(Math.abs(high) * 0.1, 1e-6)];
    const rest = (high - low) * 0.06;
    const vertical = ticks(low - rest, high + rest, 5);
    const labels = vertical.values.map((one) => shownNumber(one, vertical.digits));
    const left = 14 + 7 * Math.max(...labels.map((one) => one.length), 1);
    const box = { left, right: width - 12, top: 10, bottom: height - 34 };
    const last = Math.max(2, this.panel.epochs);
    this.x = (epoch) => box.left + ((epoch - 1) / (last - 1)) * (box.right - box.left);
    const y = (value) => box.bottom - ((value - low + rest) / (high - low + 2 * rest)) * (box.bottom - box.top);
    this.box = box;
    const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    vertical.values.forEach((value, index) => {
      svg.append(drawn("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
      svg.append(drawn("text", { class: "tick", x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, labels[index]));
    });
    const horizontal = ticks(1, last, Math.max(2, Math.floor(width / 70)));
    const epochs = horizontal.values.filter((one) => Number.isInteger(one) && one >= 1);
    for (const epoch of epochs.includes(1) || epochs[0] < 3 ? epochs : [1, ...epochs]) {
      svg.append(drawn("text", { class: "tick", x: this.x(epoch), y: height - 18, "text-anchor": "middle" }, String(epoch)));
    }
    svg.append(drawn("text", { class: "tick", x: (box.left + box.right) / 2, y: height - 3, "text-anchor": "middle" }, "epoch"));
    for (const one of series) this.line(svg, one, y);
    this.cursor = drawn("line", { class: "at", y1: box.top, y2: box.bottom });
    this.dots = drawn("g", {});
    svg.append(this.cursor, this.dots);
    this.y = y;
    this.plot.replaceChildren(svg);
    this.show();
  }

  line(svg, series, y) {
    const style = lineStyle(this.panel.lines.indexOf(series.name), series.run);
    let path = "";
    let open = false;
    const markers = drawn("g", { class: `marker ${style.colour}` });
    const every = Math.ceil(series.points.length / 24);
    series.points.forEach(([epoch, value], index) => {
      if (value === null) { open = false; return; }
      const alone = !open && (index + 1 === series.points.length || series.points[index + 1][1] === null);
      path += `${open ? "L" : "M"}${this.x(epoch).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
      if (index % every === 0 || alone || index + 1 === series.points.length) {
        markers.append(drawn("path", { d: style.marker, transform: `translate(${this.x(epoch).toFixed(1)} ${y(value).toFixed(1)})` }));
      }
    });
    svg.append(drawn("path", { class: `line ${style.colour}`, d: path, "stroke-dasharray": style.dash }), markers);
  }

  /** Puts the values of the chosen epoch beside the names. */
  show() {
    const x = this.x(this.epoch);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.dots.replaceChildren();
    this.at.textContent = `epoch ${this.epoch}`;
    const spoken = [];
    for (const [name, place] of this.values) {
      const parts = [];
      for (const one of this.panel.series.filter((series) => series.name === name)) {
        const point = one.points.find(([epoch]) => epoch === this.epoch);
        const text = !point ? "–" : point[1] === null ? "no number" : significant(point[1]);
        const letter = DATA.runs.length > 1 && one.run !== null ? `${DATA.runs[one.run]} ` : "";
        parts.push(`${letter}${text}`);
        if (point && point[1] !== null && !this.hidden.has(name) && !hiddenRuns.has(one.run)) {
          const colour = lineStyle(this.panel.lines.indexOf(name), one.run).colour;
          this.dots.append(drawn("circle", { class: `dot ${colour}`, cx: x, cy: this.y(point[1]), r: 5 }));
        }
      }
      place.replaceChildren(...parts.flatMap((part, index) => [index ? " · " : "", element("span", {}, part)]));
      spoken.push(`${name} ${parts.join(", ")}`);
    }
    this.plot.setAttribute("aria-valuemin", "1");
    this.plot.setAttribute("aria-valuemax", String(this.panel.epochs));
    this.plot.setAttribute("aria-valuenow", String(this.epoch));
    this.plot.setAttribute("aria-valuetext", `epoch ${this.epoch}: ${spoken.join("; ")}`);
  }

  point(event) {
    const place = event.clientX - this.plot.getBoundingClientRect().left;
    const share = (place - this.box.left) / (this.box.right - this.box.left);
    this.choose(Math.round(1 + share * (Math.max(2, this.panel.epochs) - 1)));
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 };
    if (event.key in steps) this.choose(this.epoch + steps[event.key]);
    else if (event.key === "Home") this.choose(1);
    else if (event.key === "End") this.choose(this.panel.epochs);
    else return;
    event.preventDefault();
  }

  choose(epoch) {
    this.epoch = Math.max(1, Math.min(this.panel.epochs, epoch));
    this.show();
  }
}

function lineSwatch(style, plain) {
  const svg = drawn("svg", { class: "swatch", width: 26, height: 12, viewBox: "0 0 26 12", "aria-hidden": "true" });
  svg.append(drawn("path", { class: `line ${style.colour}`, d: "M0 6H26", "stroke-dasharray": plain ? "" : style.dash }));
  if (!plain) svg.append(drawn("g", { class: `marker ${style.colour}` }, drawn("path", { d: style.marker, transform: "translate(13 6)" })));
  return svg;
}

/** Above the charts: which dash and marker is which run; a run is a switch too. */
function buildRunKey(list) {
  DATA.runs.forEach((letter, run) => {
    const style = { ...lineStyle(0, run), colour: "ink" };
    list.append(element("li", {}, element("button", {
      type: "button", "aria-pressed": "true",
      click: (event) => {
        const off = !hiddenRuns.delete(run);
        if (off) hiddenRuns.add(run);
        event.currentTarget.setAttribute("aria-pressed", String(!off));
        charts.forEach((chart) => chart.draw());
      },
    }, lineSwatch(style, false), runBadge(run), element("span", {}, DATA.names[run]))));
  });
}

for (const figure of document.querySelectorAll("[data-chart]")) {
  charts.push(new Chart(figure, DATA.curves[Number(figure.dataset.chart)]));
}
const runKey = document.getElementById("runkey");
if (runKey) buildRunKey(runKey);
