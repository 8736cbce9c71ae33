// The table of songs: columns by metric and stem, sorted and filtered here.

class Songs {
  constructor(place, data) {
    this.data = data;
    this.sorted = { key: "name", down: false };
    this.metric = document.getElementById("metric");
    this.stem = document.getElementById("stem");
    this.search = document.getElementById("search");
    this.least = document.getElementById("least");
    this.count = document.getElementById("count");
    this.head = element("tr", {});
    this.body = element("tbody", {});
    place.append(element("table", { class: "songs" },
      element("caption", { class: "hidden" }, "Values of each song; the titles of the columns sort it"),
      element("thead", {}, this.head), this.body));
    if (DATA.runs.length > 1) this.stem.value = "mean";
    const form = document.getElementById("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      if (DATA.runs.length > 1) this.stem.value = "mean";
      this.build();
    }));
    for (const one of [this.metric, this.stem]) if (one) one.addEventListener("change", () => this.build());
    for (const one of [this.search, this.least]) one.addEventListener("input", () => this.fill());
    this.build();
  }

  metricName() {
    return this.metric ? this.metric.value : null;
  }

  /** The stems that each run has a value of; a run without any value of the song does not count. */
  sharedStems(rows) {
    const has = (one) => one !== null && one !== undefined;
    const there = rows.filter((row) => row.some(has));
    return this.data.stems.map((_, index) => index).filter((index) => there.every((row) => has(row[index])));
  }

  /** The value of a song: of a stem by its number, or the mean over stems. */
  value(song, run, stem) {
    const rows = song.values[this.metricName()];
    if (!rows) return null;
    if (stem !== "mean") return rows[run][stem];
    const there = this.sharedStems(rows).map((one) => rows[run][one]).filter((one) => one !== null && one !== undefined);
    return there.length ? there.reduce((sum, one) => sum + one, 0) / there.length : null;
  }

  difference(song, run, stem) {
    const [first, other] = [this.value(song, 0, stem), this.value(song, run, stem)];
    return first === null || other === null || first === undefined || other === undefined ? null : other - first;
  }

  columns() {
    const chosen = this.stem.value;
    const stems = this.data.stems.map((_, index) => index);
    const shown = chosen === "" ? ["mean", ...stems] : chosen === "mean" ? ["mean"] : [Number(chosen)];
    const found = [];
    if (!this.metricName()) return found;
    for (const stem of shown) {
      const name = stem === "mean" ? "mean" : this.data.stems[stem];
      DATA.runs.forEach((letter, run) => {
        found.push({ key: `${stem}/${run}`, title: name, run, kind: "value", get: (song) => this.value(song, run, stem) });
        if (run > 0) {
          found.push({ key: `${stem}/${run}-0`, title: `${name} ${letter} − ${DATA.runs[0]}`, kind: "difference",
            get: (song) => this.difference(song, run, stem) });
        }
      });
    }
    return found;
  }

  build() {
    this.shown = this.columns();
    if (this.sorted.key !== "name" && !this.shown.some((one) => one.key === this.sorted.key)) {
      this.sorted = { key: "name", down: false };
    }
    const song = { key: "name", title: "song", kind: "name" };
    this.head.replaceChildren(...[song, ...this.shown].map((column) => element("th",
      { scope: "col", class: column.kind, "data-key": column.key },
      element("button", { type: "button", click: () => this.sort(column) },
        column.kind === "value" ? runBadge(column.run) : null,
        element("span", {}, column.title), element("span", { class: "arrow", "aria-hidden": "true" })))));
    const metric = this.data.metrics.find((one) => one.name === this.metricName());
    document.getElementById("metric-title").textContent = metric ? metric.title : "";
    document.getElementById("metric-definition").textContent = metric ? metric.definition : "nothing was measured";
    const column = this.stem.value === "" || this.stem.value === "mean" ? "the mean" : this.data.stems[Number(this.stem.value)];
    document.getElementById("least-of").textContent = `of ${column}${DATA.runs.length > 1 ? ", in any run" : ""}`;
    this.fill();
  }

  sort(column) {
    const again = this.sorted.key === column.key;
    this.sorted = { key: column.key, down: again ? !this.sorted.down : column.kind !== "name" };
    this.fill();
  }

  passes(song) {
    const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    if (!plain(song.name).includes(plain(this.search.value.trim()))) return false;
    const least = this.least.value === "" ? NaN : Number(this.least.value);
    if (Number.isNaN(least)) return true;
    const stem = this.stem.value === "" || this.stem.value === "mean" ? "mean" : Number(this.stem.value);
    return DATA.runs.some((_, run) => {
      const value = this.value(song, run, stem);
      return value !== null && value !== undefined && value >= least;
    });
  }

  order(one, other) {
    const name = one.name.localeCompare(other.name, undefined, { numeric: true });
    const column = this.shown.find((shown) => shown.key === this.sorted.key);
    if (!column) return this.sorted.down ? -name : name;
    const [a, b] = [column.get(one), column.get(other)].map((value) => value ?? null);
    if (a === null || b === null) return a === b ? name : a === null ? 1 : -1; // without a value: last
    return (this.sorted.down ? b - a : a - b) || name;
  }

  fill() {
    const songs = this.data.songs.filter((song) => this.passes(song)).sort((a, b) => this.order(a, b));
    for (const cell of this.head.children) {
      const own = cell.dataset.key === this.sorted.key;
      if (own) cell.setAttribute("aria-sort", this.sorted.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    this.scale();
    this.body.replaceChildren(...songs.map((song) => this.row(song)));
    this.count.textContent = `${songs.length} of ${this.data.songs.length} songs`;
  }

  scale() {
    const of = (kind) => this.shown.filter((one) => one.kind === kind)
      .flatMap((one) => this.data.songs.map(one.get)).filter((one) => one !== null && one !== undefined);
    const values = of("value");
    this.low = Math.min(0, ...values);
    this.high = Math.max(0, ...values, this.low + 1e-9);
    this.widest = Math.max(1e-9, ...of("difference").map(Math.abs));
  }

  row(song) {
    const failed = song.failed.flatMap((reason, run) => reason === null ? [] :
      [element("small", { class: "failed" }, runBadge(run), `failed: ${reason}`)]);
    const notes = song.notes.map(([run, text]) => element("small", {}, run === null ? null : runBadge(run), text));
    const seen = song.seen.flatMap((one, run) => one ?
      [element("small", { class: "failed" }, runBadge(run), "the model was trained on it")] : []);
    const cells = this.shown.map((column) => {
      const value = column.get(song) ?? null;
      const title = column.kind === "value" && DATA.runs.length > 1 ? `${column.title} ${DATA.runs[column.run]}` : column.title;
      const sign = column.kind === "difference" && value > 0 ? "+" : "";
      return element("td", { class: column.kind, "data-label": title }, `${sign}${shownNumber(value)}`, this.bar(column, value));
    });
    return element("tr", { class: failed.length ? "bad" : null },
      element("th", { scope: "row" }, element("span", { class: "song" }, song.name), ...failed, ...seen, ...notes), ...cells);
  }

  bar(column, value) {
    if (value === null) return null;
    const bar = element("i", { class: value < 0 ? "bar minus" : "bar", "aria-hidden": "true" });
    const inner = element("i", {});
    if (column.kind === "difference") {
      const half = (50 * Math.abs(value)) / this.widest;
      inner.style.left = `${value < 0 ? 50 - half : 50}%`;
      inner.style.width = `${half}%`;
    } else {
      const place = (one) => (100 * (one - this.low)) / (this.high - this.low);
      inner.style.left = `${place(Math.min(0, value))}%`;
      inner.style.width = `${Math.abs(place(value) - place(0))}%`;
    }
    bar.append(inner);
    return bar;
  }
}

const songPlace = document.getElementById("songtable");
if (songPlace) new Songs(songPlace, DATA.songs);
