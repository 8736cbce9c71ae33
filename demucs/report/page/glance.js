// The figure at the head of the numbers: a row a stem, a mark a run, a line for its interval.

/** How wide a name is drawn, in pixels: as `.glance .stem` has it. */
function widthOf(text, place) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `600 13px ${getComputedStyle(place).fontFamily}`;
  return pen.measureText(text).width;
}

function drawGlance(figure, data) {
  const place = figure.querySelector(".plot");
  const width = Math.max(240, Math.floor(place.clientWidth));
  const several = data.runs.length > 1;
  const rowHeight = 18 * data.runs.length + 16;
  const height = rowHeight * data.stems.length + 30;
  const cells = data.runs.flatMap((one) => one.cells);
  const values = [
    ...cells.flatMap((cell) => [cell.value, ...(cell.interval || [])]),
    ...data.published.flatMap((one) => one.values),
  ].filter((one) => one !== null);
  if (!values.length) return;
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values, 1e-6)];
  const names = data.stems.map((stem) => (stem.length > 12 ? `${stem.slice(0, 11)}…` : stem));
  const left = 14 + Math.ceil(Math.max(...names.map((name) => widthOf(name, place))));
  const right = width - 58;
  const x = (value) => left + ((value - low) / (high - low)) * (right - left);
  const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  const scale = ticks(low, high, Math.max(3, Math.floor(width / 110)));
  for (const value of scale.values) {
    svg.append(drawn("line", { class: "grid", x1: x(value), x2: x(value), y1: 4, y2: height - 24 }));
    svg.append(drawn("text", { class: "tick", x: x(value), y: height - 8, "text-anchor": "middle" }, shownNumber(value, scale.digits)));
  }
  const spoken = [];
  data.stems.forEach((stem, index) => {
    const top = index * rowHeight + 8;
    svg.append(drawn("text", { class: "stem", x: left - 8, y: top + 9 * data.runs.length + 4, "text-anchor": "end" }, names[index]));
    for (const one of data.published) {
      if (one.values[index] === null) continue;
      const stroke = drawn("line", { class: "published", x1: x(one.values[index]), x2: x(one.values[index]), y1: top - 2, y2: top + rowHeight - 12 });
      stroke.append(drawn("title", {}, `${one.model}: ${shownNumber(one.values[index])}`));
      svg.append(stroke);
    }
    data.runs.forEach((one, number) => {
      const cell = one.cells[index];
      if (cell.value === null) return;
      const y = top + 9 + 18 * number;
      const colour = `c${one.run % 7}`;
      if (cell.interval) svg.append(drawn("line", { class: `interval ${colour}`, x1: x(cell.interval[0]), x2: x(cell.interval[1]), y1: y, y2: y }));
      const mark = drawn("path", { d: MARKERS[one.run % MARKERS.length], transform: `translate(${x(cell.value)} ${y}) scale(1.5)` });
      svg.append(drawn("g", { class: `marker ${colour}` }, mark));
      const text = `${several ? `${DATA.runs[one.run]} ` : ""}${shownNumber(cell.value)}`;
      svg.append(drawn("text", { class: "number", x: width - 2, y: y + 4, "text-anchor": "end" }, text));
      spoken.push(`${stem} ${text}`);
    });
  });
  svg.setAttribute("aria-label", `${data.title}, dB: ${spoken.join("; ")}`);
  place.replaceChildren(svg);
}

const glancePlace = document.getElementById("glance");
if (glancePlace) new ResizeObserver(() => drawGlance(glancePlace, DATA.glance)).observe(glancePlace.querySelector(".plot"));
