"""A person at a browser: one page, everything it complained about, and what a page is checked for."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, Response, sync_playwright
from playwright.sync_api import Error as PageError

from tests.browser.chromium import find

Theme = Literal["light", "dark"]
DESKTOP, PHONE = (1440, 900), (390, 844)
SCREEN: dict[str, Any] = {
    "viewport": {"width": DESKTOP[0], "height": DESKTOP[1]},
    "locale": "en-GB",
    "timezone_id": "UTC",
}
#: Where pictures for the documentation go; without it none is kept.
PICTURES = os.environ.get("BROWSER_PICTURES")
#: How many of axe's rules hold even on the smallest of our pages.
MIN_RULES = 10
_SERIOUS = {"serious", "critical"}
#: Pages of the system only: whatever a page asks of anybody else is an error.
_OURS = re.compile(r"https?://127\.0\.0\.1[:/]|data:|blob:|about:")


class Person:
    """One page of one browser."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("response", self._see)
        page.on("request", lambda request: self._ask(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({self.page.url})")

    def _see(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    def _ask(self, url: str) -> None:
        if not _OURS.match(url):
            self.complaints.append(f"asked somebody else: {url}")

    @contextmanager
    def stranger(self) -> Iterator["Person"]:
        """Return somebody else at the same browser, who has not signed in."""
        browser = self.page.context.browser
        assert browser is not None
        context = browser.new_context(**SCREEN)
        try:
            yield Person(context.new_page(), self.address)
        finally:
            context.close()

    def open(self, path: str) -> None:
        """Go to a page of the system.

        A page that reloads itself at this moment (a task's does, when it is over) breaks the way off once.
        """
        try:
            self.page.goto(f"{self.address}{path}")
        except PageError as error:
            if "ERR_ABORTED" not in error.message:
                raise
            self.page.wait_for_load_state()
            self.page.goto(f"{self.address}{path}")

    def sign_in(self, name: str, password: str) -> None:
        """Fill in the login form."""
        self.open("/admin/login/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url("**/admin/")

    def press(self, button: str) -> None:
        """Press a button of a form."""
        self.page.get_by_role("button", name=button, exact=True).first.click()

    def confirm(self, operation: str, *, answer: str) -> str:
        """Press the button of an operation, which asks first; return what it says will happen."""
        self.page.locator(f"[hx-get$='/{operation}/']:visible").first.click()
        yes = self.page.get_by_role("button", name=answer)
        yes.wait_for()
        words = self.page.locator("#modal-content").inner_text()
        yes.click()
        return str(words)

    def use_theme(self, theme: Theme) -> None:
        """Choose a theme as the switch of the page does, and show the page in it."""
        self.page.evaluate(f"localStorage.setItem('adminTheme', '\"{theme}\"')")
        self.page.reload()
        self.page.wait_for_function(
            "theme => document.documentElement.classList.contains('dark') === (theme === 'dark')", arg=theme
        )

    def is_dark(self) -> bool:
        """Tell which theme the page is shown in."""
        return bool(self.page.evaluate("document.documentElement.classList.contains('dark')"))

    def darken(self, is_dark: bool) -> None:
        """Show the page that is open in the other theme, without a word to anybody."""
        self.page.evaluate("is_dark => document.documentElement.classList.toggle('dark', is_dark)", is_dark)

    def resize(self, size: tuple[int, int]) -> None:
        """Use a screen of another size."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def violations(self, *rules: str) -> list[str]:
        """Return what axe calls serious or critical on the page as it is, by all of its rules or by some."""
        options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else None
        answer: dict[str, Any] = Axe().run(self.page, options=options).response
        assert rules or len(answer["passes"]) > MIN_RULES, "axe looked at next to nothing"
        return [
            f"{self.page.url}: {one['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
            for one in answer["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"][:3]
        ]

    def overflow(self) -> list[str]:
        """Return the elements that make the page wider than the screen; none if it is not."""
        return list(self.page.evaluate(_OVERFLOW))

    def keep(self, name: str) -> None:
        """Keep a picture for the documentation, if wanted."""
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")


_OVERFLOW = """() => {
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth && document.body.scrollWidth <= root.clientWidth) return [];
    const found = [...document.querySelectorAll('body *')]
        .filter(one => one.getBoundingClientRect().right > root.clientWidth + 1)
        .slice(0, 5)
        .map(one => `${location.pathname}: ${one.outerHTML.slice(0, 120)}`);
    return found.length ? found : [`${location.pathname}: too wide`];
}"""


@contextmanager
def person_at(address: str) -> Iterator[Person]:
    """Open a browser at a system's address; close it at the end.

    Raises:
        NoBrowser: there is none.
    """
    # Chromium refuses its sandbox to root; the pages are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find(), args=arguments)
        try:
            yield Person(browser.new_context(**SCREEN).new_page(), address)
        finally:
            browser.close()
