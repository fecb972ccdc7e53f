"""Three ways to use a page: a pointer at a desk, the keyboard alone, and a telephone.

All have the same few actions, so that one journey can be gone in each way.
"""

from tests import patience

_MOST_STOPS = 150  # of the keyboard, until something counts as out of its reach

# Whether it has the focus, or is in a list that is one stop and has it.
_AT = """(one) => {
  if (one === document.activeElement) return "here";
  const box = one.closest("[data-roving]");
  return box && box.contains(document.activeElement) ? "in its list" : "elsewhere";
}"""


class Pointer:
    """Clicks on a screen of 1440 × 900."""

    def __init__(self, page):
        self.page = page

    def press(self, one):
        """A button, a link, or the heading of something folded."""
        one.click()

    def write(self, field, text):
        field.fill(text)

    def choose(self, field, option):
        """An option of a list that opens."""
        field.click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def pick(self, group, option):
        """One of a few values that stand side by side."""
        group.get_by_text(option, exact=True).click()

    def tick(self, box):
        box.click(force=True)  # what is drawn covers it


class Telephone(Pointer):
    """Taps on a screen of 390 × 844."""

    def __init__(self, page):
        super().__init__(page)
        page.set_viewport_size({"width": 390, "height": 844})


class Keyboard:
    """Keys only: Tab from where one is, arrows within lists, Enter and Space."""

    def __init__(self, page):
        self.page = page

    def reach(self, one):
        one.wait_for(state="attached", timeout=1000 * patience.PAGE)
        for _ in range(_MOST_STOPS):
            at = one.evaluate(_AT)
            if at == "here":
                return
            self.page.keyboard.press("ArrowRight" if at == "in its list" else "Tab")
        raise AssertionError(f"{one} cannot be reached by keyboard")

    def press(self, one):
        self.reach(one)
        self.page.keyboard.press("Enter")

    def write(self, field, text):
        self.reach(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def choose(self, field, option):
        self.reach(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(option)
        self.page.get_by_role("option", name=option, exact=True).wait_for()
        self.page.keyboard.press("Enter")

    def pick(self, group, option):
        self.reach(group.get_by_role("radio", checked=True))
        wanted = group.get_by_role("radio", name=option, exact=True)
        for _ in range(_MOST_STOPS):
            if wanted.is_checked():
                return
            self.page.keyboard.press("ArrowRight")
        raise AssertionError(f"{option} cannot be picked by keyboard")

    def tick(self, box):
        self.reach(box)
        self.page.keyboard.press("Space")


WAYS = {"pointer": Pointer, "keyboard": Keyboard, "telephone": Telephone}
"""All of them."""
