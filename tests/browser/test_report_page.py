"""The report in Chromium, opened from the disk as a reader would."""

import shutil
import time

import pytest

from tests.browser.runs import HOSTILE, SIGNATURES

pytestmark = pytest.mark.browser

PLAYER = "[data-player='0']"
# Which signal is heard: the audio that runs and is not muted, with its position and what the
# browser has decoded of it.
HEARD = f"""() => [...document.querySelectorAll("{PLAYER} audio")]
    .filter(one => !one.paused && !one.muted)
    .map(one => ({{signal: Number(one.dataset.signal), time: one.currentTime,
                   decoded: one.webkitAudioDecodedByteCount}}))"""
APART = f"""() => {{
    const all = [...document.querySelectorAll("{PLAYER} audio")].map(one => one.currentTime);
    return Math.max(...all) - Math.min(...all);
}}"""


def heard(page):
    found = page.evaluate(HEARD)
    assert len(found) == 1, found
    return found[0]


def until(page, expression, seconds=15):
    """Waits for it here: the page's policy forbids what `wait_for_function` does."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(20)


def wait_until_past(page, seconds):
    until(page, f"({HEARD})().some(one => one.time > {seconds})")


def test_plays_and_switches_in_place(visit, one):
    page = visit(one)
    assert page.evaluate(HEARD) == []
    page.click(f"{PLAYER} .play")
    wait_until_past(page, 0.5)
    before = heard(page)
    assert before["signal"] == 0
    assert before["decoded"] > 0
    gaps = []
    for signal in (2, 1, 5, 0):
        until(page, f"({APART})() < 0.03")  # muted ones fall into step
        gaps.append(page.evaluate(
            f"""signal => {{
                const before = ({HEARD})()[0];
                document.querySelector(`{PLAYER} button[data-signal="${{signal}}"]`).click();
                const after = ({HEARD})();
                return [after.length, after[0].signal, after[0].time - before.time];
            }}""",
            signal,
        ))  # fmt: skip
        assert gaps[-1][:2] == [1, signal]
        assert abs(gaps[-1][2]) < 0.1  # seconds; a busy machine adds some to the aimed-at 0.05
        page.wait_for_timeout(50)
    wait_until_past(page, heard(page)["time"] + 0.2)  # it still runs
    page.click(f"{PLAYER} .play")
    until(page, f"({HEARD})().length === 0")


def test_the_signals_are_other_sounds_and_pictures(visit, one):
    page = visit(one)
    images = page.eval_on_selector_all(f"{PLAYER} img", "all => all.map(one => one.naturalWidth)")
    assert len(images) == 9
    assert min(images) > 100
    sources = page.eval_on_selector_all(f"{PLAYER} audio", "all => all.map(one => one.src)")
    assert len(set(sources)) == 9
    page.click(f"{PLAYER} button[data-signal='3']")
    assert page.locator(f"{PLAYER} img:visible").get_attribute("data-signal") == "3"
    pressed = page.eval_on_selector_all(
        f"{PLAYER} button[aria-pressed=true]", "all => all.map(one => one.dataset.signal)"
    )
    assert pressed == ["3"]
    assert "bass" in page.locator(f"{PLAYER} .shown").inner_text()


def test_only_one_player_plays(visit, one):
    page = visit(one)
    page.click(f"{PLAYER} .play")
    wait_until_past(page, 0.1)
    page.click("[data-player='1'] .play")
    until(page, f"({HEARD})().length === 0")
    assert page.evaluate(
        "[...document.querySelectorAll('[data-player=\"1\"] audio')].some(a => !a.paused)"
    )


def test_keys_of_the_player(visit, one):
    page = visit(one)
    page.focus(f"{PLAYER} button[data-signal='0']")
    page.keyboard.press("Space")
    wait_until_past(page, 0.1)
    page.keyboard.press("2")
    assert heard(page)["signal"] == 2
    page.keyboard.press("m")
    assert heard(page)["signal"] == 0
    page.keyboard.press("Space")
    until(page, f"({HEARD})().length === 0")
    position = f'document.querySelector("{PLAYER} audio").currentTime'
    page.keyboard.press("Home")
    assert page.evaluate(position) == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(position) == pytest.approx(2, abs=0.01)
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(position) == pytest.approx(1, abs=0.01)
    page.keyboard.press("4")  # the position is kept where nothing plays, too
    chosen = position.replace("audio", "audio[data-signal='4']")
    assert page.evaluate(chosen) == pytest.approx(1, abs=0.01)
    page.keyboard.press("l")
    assert page.is_checked(f"{PLAYER} .loop input")


def test_loops_and_stops_at_the_end(visit, one):
    page = visit(one)
    page.check(f"{PLAYER} .loop input")
    page.focus(f"{PLAYER} .seek")
    page.keyboard.press("End")
    page.click(f"{PLAYER} .play")
    page.keyboard.press("End")
    until(page, f"({HEARD})().some(one => one.time > 0.1 && one.time < 3)")
    page.uncheck(f"{PLAYER} .loop input")
    page.focus(f"{PLAYER} .seek")
    page.keyboard.press("End")
    until(page, f"({HEARD})().length === 0")
    assert page.get_attribute(f"{PLAYER} .play", "aria-label").startswith("Play")


def test_a_click_into_the_spectrogram_seeks(visit, one):
    page = visit(one)
    box = page.locator(f"{PLAYER} .image").bounding_box()
    page.locator(f"{PLAYER} .image").click(position={"x": box["width"] / 2, "y": 20})
    times = page.eval_on_selector_all(f"{PLAYER} audio", "all => all.map(one => one.currentTime)")
    assert times == pytest.approx([2.0] * 9, abs=0.05)
    cursor = page.locator(f"{PLAYER} .cursor").bounding_box()
    assert cursor["x"] - box["x"] == pytest.approx(box["width"] / 2, abs=4)


def names(page):
    return page.locator(".songs .song").all_inner_texts()


def numbers(page, column):
    texts = page.locator(f".songs tbody tr td:nth-of-type({column})").all_inner_texts()
    return [float(text.replace("−", "-")) for text in texts]


def test_the_table_sorts_by_click_and_key(visit, one):
    page = visit(one)
    assert len(names(page)) == 3
    head = page.locator(".songs thead th")
    assert head.nth(0).get_attribute("aria-sort") == "ascending"
    head.nth(2).locator("button").click()  # drums
    assert head.nth(2).get_attribute("aria-sort") == "descending"
    assert head.nth(0).get_attribute("aria-sort") is None
    found = numbers(page, 2)
    assert found == sorted(found, reverse=True)
    page.keyboard.press("Enter")  # the button keeps the focus
    assert head.nth(2).get_attribute("aria-sort") == "ascending"
    assert numbers(page, 2) == sorted(found)
    page.select_option("#metric", "nsdr")
    assert numbers(page, 2) == sorted(numbers(page, 2))
    assert "10 log10" in page.inner_text("#metric-definition")


def test_the_table_filters(visit, one):
    page = visit(one)
    page.fill("#search", "DEMO 001")
    assert len(names(page)) == 1
    assert page.inner_text("#count") == "1 of 3 songs"
    page.fill("#search", "日本")
    assert names(page) == [HOSTILE]
    page.click("#filters button[type=reset]")
    until(page, "document.querySelectorAll('.songs .song').length === 3")
    page.select_option("#stem", "0")
    values = page.evaluate(
        "DATA.songs.songs.map(one => one.values.sdr[0][0]).sort((a, b) => a - b)"
    )
    page.fill("#least", repr(values[1]))
    assert sorted(numbers(page, 1)) == pytest.approx(values[1:], abs=0.006)
    page.fill("#least", "1000")
    assert names(page) == []
    assert page.inner_text("#count") == "0 of 3 songs"


def test_two_runs_stand_side_by_side(visit, two):
    page = visit(two)
    page.select_option("#metric", "nsdr")  # the one that both have
    heads = page.locator(".songs thead th").all_inner_texts()
    titles = ["".join(one.split()).strip("▲▼") for one in heads]
    assert titles == ["song", "Amean", "Bmean", "meanB−A"]
    for row in range(1, 4):
        a, b, difference = (
            float(text.replace("−", "-").replace("+", ""))
            for text in page.locator(f".songs tbody tr:nth-child({row}) td").all_inner_texts()
        )
        assert difference == pytest.approx(b - a, abs=0.011)
    chart = page.locator("[data-chart='0'] .plot path.line")
    assert chart.count() == 4  # train and valid of both
    page.click("#runkey button >> nth=0")
    assert chart.count() == 2
    assert page.locator(f"{PLAYER} button[data-signal]").count() == 13


def test_charts_tell_values_by_pointer_and_key(visit, one):
    page = visit(one)
    plot = page.locator("[data-chart='0'] .plot")
    assert plot.get_attribute("aria-valuenow") == "4"
    plot.focus()
    page.keyboard.press("Home")
    assert plot.get_attribute("aria-valuetext").startswith("epoch 1: train ")
    page.keyboard.press("ArrowRight")
    assert plot.get_attribute("aria-valuenow") == "2"
    box = plot.bounding_box()
    plot.hover(position={"x": box["width"] - 14, "y": 50})
    pointed = "document.querySelector(\"[data-chart='0'] .plot\").getAttribute('aria-valuenow')"
    until(page, f"{pointed} === '4'")  # the pointer is followed a frame later
    plot.hover(position={"x": 40, "y": 50})
    until(page, f"{pointed} === '1'")
    assert page.locator("[data-chart='0'] .legend .at").inner_text() == "epoch 1"
    page.click("[data-chart='0'] .legend button >> nth=0")
    assert page.locator("[data-chart='0'] .plot path.line").count() == 1
    page.locator("[data-chart='1'] .plot").focus()
    page.keyboard.press("Home")
    said = page.locator("[data-chart='1'] .plot").get_attribute("aria-valuetext")
    assert "bass no number" in said
    assert "bass: no finite number at epoch 1" in page.inner_text("[data-chart='1']")


@pytest.mark.parametrize("which", ["one", "two"])
def test_a_public_run_is_drawn_beside_the_nsdr(visit, which, request):
    page = visit(request.getfixturevalue(which))
    chart = page.locator("[data-chart='1']")
    dotted = chart.locator(".plot path.line.ink")
    assert dotted.count() == 1
    assert dotted.get_attribute("stroke-dasharray") == "2 4"
    chart.locator(".plot").focus()
    page.keyboard.press("Home")
    said = chart.locator(".plot").get_attribute("aria-valuetext")
    assert said.endswith("; a public run 3.60")  # without the letter of a run
    chart.locator(".legend button", has_text="a public run").click()
    assert dotted.count() == 0
    if which == "two":  # it stays where the runs are hidden
        chart.locator(".legend button", has_text="a public run").click()
        page.click("#runkey button >> nth=0")
        page.click("#runkey button >> nth=1")
        assert chart.locator(".plot path.line").count() == 1


OUTSIDE = """() => {
    const width = document.documentElement.clientWidth;
    const found = [];
    for (const one of document.querySelectorAll("body *")) {
        if (one.closest(".hidden, .skip, audio, script, svg, .image")) continue;
        if (!one.checkVisibility()) continue;
        const box = one.getBoundingClientRect();
        const name = one.outerHTML.slice(0, 120);
        if (box.width && (box.left < -1 || box.right > width + 1)) found.push(name);
        const style = getComputedStyle(one);
        if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth && style.display !== "inline"
            && style.overflowX !== "visible" && !one.matches("input, select")) {
            found.push("cut off: " + name);
        }
    }
    return found;
}"""


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("which", ["one", "two"])
def test_nothing_is_cut_off(visit, width, which, request):
    page = visit(request.getfixturevalue(which), width)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.select_option("#metric", "nsdr")
    for stems in ("", "mean"):
        page.select_option("#stem", stems)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []


def test_everything_has_a_name_and_takes_the_focus(visit, one):
    page = visit(one, 360, color_scheme="dark", reduced_motion="reduce")
    without = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a, [tabindex]")]
        .filter(one => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
        .map(one => one.outerHTML)"""
    )
    assert without == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_names_of_songs_are_text(visit, one):
    page = visit(one)
    assert HOSTILE in names(page)
    assert HOSTILE in page.locator("#players h3").all_inner_texts()  # it is the best or the worst
    assert page.locator("img[src=x]").count() == 0
    assert page.title().startswith(SIGNATURES[1])


def test_nothing_injected_could_run_or_load(visit, one, tmp_path):
    """The page's policy, tried with a page into which a script was put."""
    folder = tmp_path / "report"
    shutil.copytree(one.removeprefix("file://").rpartition("/")[0], folder)
    page_file = folder / "index.html"
    text = page_file.read_text(encoding="utf-8")
    page_file.write_text(
        text.replace("</footer>", "<script>document.title='broken'</script></footer>"),
        encoding="utf-8",
    )
    page = visit(page_file.as_uri())
    assert page.title().startswith(SIGNATURES[1])
    assert len(visit.complaints) == 1
    assert "Content Security Policy" in visit.complaints.pop()


def test_what_is_missing_is_said(visit, make, runs):
    shutil.copytree(runs / "outputs" / "xps" / SIGNATURES[0], runs / "outputs" / "xps" / "alone")
    page = visit(make("alone"), 360)
    text = page.inner_text("main")
    assert "There are no numbers" in text
    assert "There is no table of songs" in text
    assert "No release" in text
    assert page.locator("[data-chart]").count() > 0
    assert page.locator("[data-player]").count() == 0
    (runs / "outputs" / "xps" / "alone" / "history.json").unlink()
    shutil.copy(
        runs / "release_models" / f"evaluation_{SIGNATURES[0]}.json",
        runs / "outputs" / "xps" / "alone" / "evaluation.json",
    )
    page = visit(make("alone"), 360)
    assert "no training curves" in page.inner_text("#curves").lower()
    assert page.locator(".songs tbody tr").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
