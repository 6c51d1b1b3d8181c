"""Drives the console in a real Chromium: no console error, no outside request, no axe violation, all by keyboard.

`make test-browser` runs it. It needs Chromium: on Debian `apt-get install chromium fonts-noto-cjk`, elsewhere any
Chromium or Chrome named by WUXING_CHROMIUM. `python -m tests.browser.drive --shots FOLDER` also keeps pictures.
"""

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from infra.folders import COLLECTOR
from schemas.year import given
from services.console.app import create_app
from services.scorer import file
from services.site.synthetic import year
from services.snapshot import make
from tests import test_desk as desk

HERE = Path(__file__).parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = {
    "board": "/",
    "past": "/?as_of=3000",
    "statement": "/unit/U001",
    "audit": "/audit",
    "event": "/event/23",
    "statement-supposed": "/unit/U055?r.award_tie=include",
    "audit-none": "/audit?text=nothing-like-it",
    "progress": "/progress",
    "matrix": "/matrix",
    "appeals": "/appeals",
    "search": "/search?q=U01",
    "progress-past": "/progress?as_of=3000",
    "readings": "/readings",
    "what-if": "/what-if?r.band_pool=category",
    "proof": "/proof",
    "sql": "/sql?ready=ranking",
    "sql-refused": "/sql?query=LOAD+json",
    "regulation": "/regulation",
    "error": "/unit/U999",
}
#: Milliseconds: on a busy machine no answer here hangs on the clock.
SLOW = 600_000
#: Every two of language, theme and width together at least once.
SEEN = (("zh", "light", "phone"), ("zh", "dark", "desktop"), ("en", "light", "desktop"), ("en", "dark", "phone"))
WIDTHS = {"phone": (390, 844), "desktop": (1280, 900)}
#: The short words in a table that are broken over two lines: a column has become too narrow to be read.
BROKEN = """() => {
  const found = new Set();
  for (const cell of document.querySelectorAll(".ledger th, .ledger td")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let text; (text = texts.nextNode()); )
      for (const word of text.data.matchAll(/\\b[A-Za-z0-9]{2,14}\\b/g)) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size > 1) found.add(word[0]);
      }
  }
  return [...found].slice(0, 8);
}"""
ALWAYS = {"error", "sql-refused"}  # their own status is what the browser reports as an error


def chromium() -> str:
    """The Chromium to drive; without one the command fails and says how to get it."""
    names = (os.environ.get("WUXING_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        sys.exit("No Chromium. Debian: apt-get install chromium fonts-noto-cjk; else set WUXING_CHROMIUM to its path.")
    return found


@contextmanager
def console() -> Iterator[str]:
    """The console over a synthetic year, on a port of its own."""
    with tempfile.TemporaryDirectory(prefix="wuxing-") as name:
        folder = Path(name)
        shipped = given("wenzhou-2013", None, None)
        lines = year(shipped.rulebook, shipped.roster, shipped.assessment, events=4900)
        (folder / "year.jsonl").write_bytes(b"".join(line + b"\n" for _, line in lines))
        folded = file.fold(folder / "year.jsonl", shipped, target=folder / "draft.duckdb")
        make.complete(folded.con, folded.year, folded.lines)
        folded.con.close()
        make.publish(folder / "draft.duckdb", folder / "snapshots", "year.duckdb")
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(folder / "snapshots"), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def page(
    browser: Browser, lang: str, theme: str, width: str, complaints: list[str], *, scripts: bool = True
) -> Iterator[Page]:
    """A page whose console errors and outside requests are complaints."""
    size = WIDTHS[width]
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        locale="zh-CN" if lang == "zh" else "en-GB",
        java_script_enabled=scripts,
        bypass_csp=False,
    )
    context.set_default_timeout(SLOW)
    made = context.new_page()

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"console: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith("http://127.0.0.1:"):
            complaints.append(f"outside: {request.url}")

    made.on("console", said)
    made.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    made.on("request", asked)
    yield made
    context.close()


def look(made: Page, url: str) -> list[str]:
    """What axe-core finds against WCAG 2.2 A and AA, whether the page is wider than its window, and broken words."""
    made.goto(url)
    made.wait_for_selector("[role=status]", state="detached", timeout=SLOW)
    made.evaluate((HERE / "axe.min.js").read_text(encoding="utf-8"))
    found = made.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    faults = [
        f"axe {one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        for node in one["nodes"][:2]
    ]
    if made.evaluate("document.documentElement.scrollWidth > innerWidth"):
        faults.append("wider than its window")
    if broken := made.evaluate(BROKEN):
        faults.append(f"words broken in a table: {', '.join(broken)}")
    return faults


def by_keyboard(browser: Browser, base: str, complaints: list[str]) -> list[str]:
    """From the skip link to a unit, along the slider and through a filter with keys alone."""
    faults = []

    def expect(what: str, found: object, wanted: object) -> None:
        if found != wanted:
            faults.append(f"keyboard, {what}: expected {wanted!r}, found {found!r}")

    with page(browser, "en", "light", "desktop", complaints) as made:
        made.goto(base + "/")
        made.keyboard.press("Tab")
        expect("the first stop", made.evaluate("document.activeElement.className"), "skip")
        made.keyboard.press("Enter")
        expect("the skip link", made.evaluate("document.activeElement.id"), "main")
        made.locator("#as_of").focus()
        made.keyboard.press("ArrowLeft")
        made.wait_for_url("**as_of=4899*")
        made.wait_for_selector(".notice.past")
        expect("the slider keeps the focus", made.evaluate("document.activeElement.id"), "as_of")
        expect("the state", made.inner_text("#as_of_shown"), "4899")
        made.go_back()
        made.wait_for_selector(".notice.past", state="detached")
        made.locator("thead a", has_text="Unit").first.focus()
        made.keyboard.press("Enter")
        made.wait_for_url("**sort=unit*")
        expect("the sorted column", made.locator("th[aria-sort]").first.inner_text().strip()[:4], "Unit")
        made.locator("tbody th a").first.focus()
        outline = made.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        expect("the focus is seen", outline, "solid")
        made.keyboard.press("Enter")
        made.wait_for_url("**/unit/U001*")
        made.goto(base + "/audit")
        made.locator("#f-item").select_option("1.1")
        made.wait_for_url("**item=1.1*")
        made.locator("#f-text").fill("批示")
        made.locator("#f-text").press("Enter")
        made.wait_for_url("**text=*%E6%89%B9*")
        made.goto(base + "/readings")
        with made.expect_response("**/readings"):  # the page looks again by itself
            pass
    with page(browser, "zh", "light", "desktop", complaints, scripts=False) as made:
        made.goto(base + "/what-if")
        made.select_option("#r-award_tie", "include")
        made.get_by_role("button", name="试算").click()
        expect("without scripts", made.inner_text("#moved"), "2个单位变动")
        made.locator("#at").fill("2013-09-01")
        made.get_by_role("button", name="跳转").click()
        made.wait_for_selector(".notice.past")
    return faults


class Roles:
    """The desk in a browser: each role does its work; what is wrong with its pages are `faults`."""

    def __init__(self, browser: Browser, at: desk.Page, complaints: list[str], shots: Path | None) -> None:
        self.browser, self.at, self.complaints, self.shots = browser, at, complaints, shots
        self.faults: list[str] = []

    def all(self) -> None:
        """An office and a unit without scripts in Chinese on a phone; the others in both languages."""
        with page(self.browser, "zh", "light", "phone", self.complaints, scripts=False) as made:
            self.office(made)
        self.at.rank()
        with page(self.browser, "zh", "light", "phone", self.complaints, scripts=False) as made:
            self.unit(made)
        appeal = self.at.rank()
        with page(self.browser, "en", "light", "desktop", self.complaints) as made:
            self.signed_in(made, str(desk.APPEALS))
            self.looked(made, "appeal-en", f"/appeals/{appeal}")
            self.looked(made, "appeals-office-en", "/desk")
        for lang, width in (("en", "desktop"), ("zh", "phone")):
            with page(self.browser, lang, "light", width, self.complaints) as made:
                self.signed_in(made, COLLECTOR)
                for name, path in (
                    ("collector", "/desk"),
                    ("change", "/desk/enter?type=unit.changed.v1"),
                    ("statement", f"/unit/{desk.FIRST}"),
                    ("board", "/"),
                ):
                    self.looked(made, f"{name}-{lang}-{width}", path)
        with page(self.browser, "en", "light", "desktop", self.complaints) as made:
            self.follows(made)

    def signed_in(self, made: Page, party: str) -> None:
        """Sign in with the party's key."""
        made.goto(f"{self.at.url}/sign-in")
        made.locator("#key").fill(self.at.keys[party])
        made.locator("button.primary").click()
        made.wait_for_url("**/desk")

    def looked(self, made: Page, name: str, path: str, *, scripts: bool = True) -> None:
        """Look at a page, by axe where it has scripts, and keep a picture."""
        if scripts:
            self.faults += [f"{name}: {one}" for one in look(made, self.at.url + path)]
        else:
            made.goto(self.at.url + path)
        if self.shots:
            made.screenshot(path=self.shots / f"desk-{name}.png", full_page=True)

    def sent(self, made: Page, name: str) -> None:
        """Hand a form in, look what it would do, send it, and wait for the receipt."""
        made.locator("button.primary").first.click()
        made.wait_for_url("**/desk/tray/**")
        path = made.url.removeprefix(self.at.url)
        self.looked(made, f"{name}-tried", path, scripts=False)
        made.locator('button[value="send"]').click()
        while not made.locator(".o-accepted").count():
            made.goto(self.at.url + path)
        self.looked(made, f"{name}-sent", path, scripts=False)

    def office(self, made: Page) -> None:
        """A workbook and one event by a form."""
        self.signed_in(made, "ducha")
        self.looked(made, "office-zh-phone", "/desk", scripts=False)
        rows = desk.sheet(f"{desk.CODES[2]},1.1,m7,no_feedback,逾期", "U999,1.1,m8,no_feedback,逾期")
        made.locator("#file").set_input_files({"name": "五月.csv", "mimeType": "text/csv", "buffer": rows})
        self.sent(made, "workbook")
        self.looked(made, "form-zh-phone", "/desk/enter?type=deduction.recorded.v1&item=1.1", scripts=False)
        made.select_option("#e-unit", desk.FIRST)
        made.locator("#e-matter").fill("表单")
        made.select_option("#e-ground", "no_feedback")
        made.locator("#e-reason").fill("逾期未反馈")
        self.sent(made, "form")

    def unit(self, made: Page) -> None:
        """An appeal from the statement."""
        self.signed_in(made, desk.FIRST)
        self.looked(made, "unit-zh-phone", "/desk", scripts=False)
        self.looked(made, "own-statement-zh-phone", f"/unit/{desk.FIRST}", scripts=False)
        made.locator('a[href*="appeal.filed"]').last.click()
        made.locator("#e-statement").fill("已按期反馈")
        self.sent(made, "appeal")

    def follows(self, made: Page) -> None:
        """An open page shows a new snapshot by itself."""
        with made.expect_request("**/follow"):
            made.goto(f"{self.at.url}/")
        office = self.at.as_("ducha")
        self.at.enter(office, type="deduction.recorded.v1", item="1.1", unit=desk.CODES[3], matter="新",
                      ground="no_feedback", reason="逾期")  # fmt: skip
        made.wait_for_selector(f'#page[data-sequence="{self.at.rank()}"]')


def main() -> int:
    """Visit every page in both languages, themes and widths; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=Path)
    shots = parser.parse_args().shots
    faults: list[str] = []
    with console() as base, sync_playwright() as play, tempfile.TemporaryDirectory() as home:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS, env={**os.environ, "HOME": home})
        complaints: list[str] = []
        faults += by_keyboard(browser, base, complaints)
        if shots:
            shots.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="wuxing-") as name, desk.running(Path(name)) as at:
            roles = Roles(browser, at, complaints, shots)
            roles.all()
        faults += [*roles.faults, *complaints]
        complaints.clear()
        for lang, theme, width in SEEN:
            with page(browser, lang, theme, width, complaints) as made:
                for name, path in PAGES.items():
                    found = look(made, base + path)
                    status = "console: Failed to load resource" if name in ALWAYS else "no such complaint"
                    said = [one for one in complaints if not one.startswith(status)]
                    named = [f"{name} {lang} {theme} {width}: {one}" for one in (*found, *said)]
                    faults += named
                    complaints.clear()
                    print(*(named or [f"{name} {lang} {theme} {width}: no fault"]), sep="\n", file=sys.stderr)
                    if shots:
                        made.screenshot(path=shots / f"{name}-{lang}-{theme}-{width}.png", full_page=True)
        browser.close()
    print("\n".join(faults) or json.dumps({"pages": len(PAGES) * len(SEEN), "faults": 0}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
