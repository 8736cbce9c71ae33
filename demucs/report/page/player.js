// Players. All signals of a player run together, and all but one are muted, so that a change of
// signal is instantaneous. A page from disk may not decode files itself (Web Audio gets silence), so
// these are audio elements; the muted ones are kept in step by their rate, which nobody hears.

const STEP = 0.008; // seconds of difference that are left alone
const FAR = 0.3; // seconds from which a muted signal is sought instead of hurried
const players = [];
let lastPlayer = null;

class Player {
  constructor(card, data) {
    this.card = card;
    this.data = data;
    this.current = 0;
    this.playing = false;
    this.audio = [...card.querySelectorAll("audio")];
    this.buttons = [...card.querySelectorAll("button[data-signal]")];
    this.images = [...card.querySelectorAll("img[data-signal]")];
    this.play = card.querySelector(".play");
    this.seek = card.querySelector(".seek");
    this.now = card.querySelector(".now");
    this.shown = card.querySelector(".shown");
    this.loop = card.querySelector(".loop input");
    this.cursor = card.querySelector(".cursor");
    this.image = card.querySelector(".image");
    for (const mark of card.querySelectorAll(".mark")) mark.style.top = `${100 * Number(mark.dataset.place)}%`;
    this.listen();
    this.choose(0);
  }

  listen() {
    this.play.addEventListener("click", () => this.toggle());
    for (const button of this.buttons) button.addEventListener("click", () => this.choose(Number(button.dataset.signal)));
    this.seek.addEventListener("input", () => this.go(Number(this.seek.value)));
    const point = (event) => {
      const box = this.image.getBoundingClientRect();
      this.go(((event.clientX - box.left) / box.width) * this.length());
    };
    this.image.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      this.image.setPointerCapture(event.pointerId);
      point(event);
    });
    this.image.addEventListener("pointermove", (event) => {
      if (this.image.hasPointerCapture(event.pointerId)) point(event);
    });
    this.card.addEventListener("pointerdown", () => { lastPlayer = this; });
    this.card.addEventListener("focusin", () => { lastPlayer = this; });
    for (const [index, audio] of this.audio.entries()) {
      audio.addEventListener("ended", () => { if (index === this.current) this.end(); });
      audio.addEventListener("error", () => this.fail(index));
    }
  }

  length() {
    const known = this.audio[this.current].duration;
    return Number.isFinite(known) && known > 0 ? known : this.data.seconds;
  }

  position() {
    return this.audio[this.current].currentTime;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.start();
  }

  start() {
    for (const other of players) if (other !== this) other.pause();
    lastPlayer = this;
    const at = this.position() >= this.length() - 0.02 ? 0 : this.position();
    this.playing = true;
    this.audio.forEach((audio, index) => {
      audio.muted = index !== this.current;
      if (Math.abs(audio.currentTime - at) > 0.001) audio.currentTime = at;
      const started = audio.play();
      if (started) started.catch(() => { if (index === this.current && this.playing) this.pause(); });
    });
    this.mark();
    this.frame();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    const at = this.position();
    for (const audio of this.audio) audio.pause();
    this.audio.forEach((audio, index) => {
      audio.playbackRate = 1;
      if (index !== this.current) audio.currentTime = at;
    });
    this.mark();
    this.draw();
  }

  end() {
    if (!this.playing) return;
    if (this.loop.checked) {
      this.go(0);
      for (const audio of this.audio) if (audio.paused) audio.play().catch(() => {});
    } else this.pause();
  }

  go(seconds) {
    const at = Math.max(0, Math.min(this.length() - 0.01, seconds));
    for (const audio of this.audio) audio.currentTime = at;
    this.draw(at);
  }

  /** Another signal at the same position; it runs already, so nothing is waited for. */
  choose(index) {
    const at = this.position();
    const next = this.audio[index];
    next.playbackRate = 1;
    if (Math.abs(next.currentTime - at) > (this.playing ? FAR : 0.001)) next.currentTime = at;
    if (this.playing && next.paused) next.play().catch(() => {});
    this.current = index;
    this.audio.forEach((audio, number) => { audio.muted = number !== index; });
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(Number(button.dataset.signal) === index));
    for (const image of this.images) image.hidden = Number(image.dataset.signal) !== index;
    const chosen = this.buttons.find((button) => Number(button.dataset.signal) === index);
    this.shown.textContent = chosen ? chosen.getAttribute("aria-label") : "";
    this.draw();
  }

  fail(index) {
    const button = this.buttons.find((one) => Number(one.dataset.signal) === index);
    if (!button || button.disabled) return;
    button.disabled = true;
    button.title = "This browser cannot play the file";
    this.card.append(element("p", { class: "missing" },
      `${button.getAttribute("aria-label")}: this browser cannot play ${this.data.signals[index].audio}.`));
  }

  frame() {
    if (!this.playing) return;
    this.keepStep();
    this.draw();
    requestAnimationFrame(() => this.frame());
  }

  keepStep() {
    const at = this.position();
    this.audio.forEach((audio, index) => {
      if (index === this.current || audio.seeking || audio.ended) return;
      const ahead = audio.currentTime - at;
      if (Math.abs(ahead) > FAR) audio.currentTime = at;
      const wanted = Math.abs(ahead) < STEP ? 1 : Math.max(0.8, Math.min(1.25, 1 - 2 * ahead));
      if (Math.abs(audio.playbackRate - wanted) > 0.01 || wanted === 1) audio.playbackRate = wanted;
    });
  }

  mark() {
    this.card.classList.toggle("playing", this.playing);
    this.play.setAttribute("aria-label", `${this.playing ? "Pause" : "Play"} ${this.data.label}`);
  }

  draw(known) {
    const at = known === undefined ? this.position() : known;
    this.seek.value = String(at);
    this.seek.setAttribute("aria-valuetext", `${at.toFixed(1)} of ${this.length().toFixed(1)} seconds`);
    this.now.textContent = `${Math.floor(at / 60)}:${String(Math.floor(at % 60)).padStart(2, "0")}`;
    this.cursor.style.left = `${Math.min(100, (100 * at) / this.length())}%`;
  }

  /** True if the key means something to this player. */
  key(event) {
    const far = event.shiftKey ? 5 : 1;
    if (event.key === " ") this.toggle();
    else if (event.key === "ArrowLeft") this.go(this.position() - far);
    else if (event.key === "ArrowRight") this.go(this.position() + far);
    else if (event.key === "Home") this.go(0);
    else if (event.key === "End") this.go(this.length());
    else if (event.key.toLowerCase() === "l") this.loop.checked = !this.loop.checked;
    else {
      const index = this.data.signals.findIndex((one) => one.key === event.key.toLowerCase());
      if (index < 0 || this.buttons.some((one) => Number(one.dataset.signal) === index && one.disabled)) return false;
      this.choose(index);
    }
    return true;
  }
}

for (const card of document.querySelectorAll("[data-player]")) {
  players.push(new Player(card, DATA.players[Number(card.dataset.player)]));
}

/** The player that a key is for: the one around the focus, or the last one if nothing has it. */
function playerOf(target) {
  const card = target.closest ? target.closest("[data-player]") : null;
  if (card) return players[Number(card.dataset.player)];
  return target === document.body ? lastPlayer : null;
}

function isForElement(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  return event.key === " " && event.target.matches("input[type=checkbox], .play");
}

document.addEventListener("keydown", (event) => {
  const player = playerOf(event.target);
  if (player && !isForElement(event) && player.key(event)) event.preventDefault();
});
document.addEventListener("keyup", (event) => { // a button is pressed by the release of the space bar
  if (event.key === " " && playerOf(event.target) && !isForElement(event)) event.preventDefault();
});
