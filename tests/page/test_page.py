"""Tests of the live page with a real mock and a real browser."""

import os
import pathlib
import unittest

from selenium.webdriver.common.keys import Keys

from support import Mock, PageTest, batch, event, screen

# The limits that the page states.
SHOWN = 200
KEPT = 1000

INVALID = batch(event(kind="wrong"), environment="test")


class Arrivals(PageTest):
    def test_empty_page_shows_how_to_send(self):
        self.eventually(lambda: self.one("#empty").is_displayed(), "the empty state")
        self.assertIn(f"{self.mock.url}/events", self.text("#curl"))
        self.assertIn("-u KEY:SECRET", self.text("#curl"))
        self.assertNotIn("mock-secret", self.browser.page_source)

    def test_mock_accepts_the_shown_command(self):
        body = self.text("#curl").split("-d '")[1].split("'")[0]
        self.assertEqual(self.mock.post("/events", body.encode()), 202)
        self.eventually(lambda: self.names() == ["Hello"], "the event")

    def test_shows_batches_by_user_and_events_by_type(self):
        email = {
            "environment": "production",
            "user_identities": {"email": "ada@example.com"},
            "events": [screen("Home")],
        }
        self.assertEqual(
            self.mock.post("/bulkevents", [batch(event("One"), event("Two")), email, batch(user=None)]), 202
        )
        self.eventually(lambda: self.names() == ["One", "Two", "Home"], "the events")
        self.assertEqual(self.texts("#requests .type"), ["custom_event", "custom_event", "screen_view"])
        self.assertEqual(self.texts("#requests .user bdi"), ["123456", "ada@example.com"])
        self.assertIn("no identity", self.texts("#requests h4"))
        self.assertFalse(self.one("#empty").is_displayed())
        for name, count in {"requests": "1", "batches": "3", "events": "3", "refused": "0"}.items():
            self.eventually(lambda: self.text(f"#count-{name}") == count, f"the count of {name}")

    def test_other_event_types_are_named_by_their_first_required_text(self):
        registration = {"event_type": "push_registration", "data": {"register": True, "registration_token": "T-1"}}
        self.assertEqual(self.mock.post("/events", batch(registration)), 202)
        self.eventually(lambda: self.names() == ["T-1"], "the name, by the document")

    def test_unknown_event_type_has_no_name(self):
        self.assertEqual(self.mock.post("/events", batch({"event_type": "constructor", "data": {"x": "TEA"}})), 400)
        self.eventually(lambda: self.texts("#requests .type") == ["constructor"], "the type")
        self.assertEqual(self.names(), [""])

    def test_shows_requests_received_before_the_page_was_opened(self):
        self.mock.post("/events", batch(event("Early")))
        self.open()
        self.eventually(lambda: self.names() == ["Early"], "the event")

    def test_newest_request_is_first(self):
        for name in ["First", "Second", "Third"]:
            self.mock.post("/events", batch(event(name)))
        self.eventually(lambda: self.names() == ["Third", "Second", "First"], "the order")

    def test_integers_of_64_bits_are_exact(self):
        whole = batch(event(large=9007199254740993), mpid=-9223372036854775808)
        self.mock.post("/events", whole)
        self.eventually(lambda: "mpid -9223372036854775808" in self.texts("#requests .other"), "the mpid")
        self.assertEqual(self.texts("#requests pre"), [], "the JSON of an event is only rendered when it is opened")
        self.one("#requests .event summary").click()
        self.eventually(lambda: '"large": 9007199254740993' in (self.text("#requests .event pre") or ""), "the digits")

    def test_duplicate_is_marked(self):
        for _ in range(2):
            self.mock.post("/events", batch(event(), source_request_id="once"))
        self.eventually(lambda: self.texts("#requests .tag.marked") == ["duplicate"], "the mark")
        self.eventually(lambda: self.text("#count-duplicates") == "1", "the count")

    def test_ignored_historical_batch_is_marked(self):
        self.mock.post("/bulkevents/historical", [batch(event("Untimed"))])
        self.eventually(lambda: self.texts("#requests .tag.marked") == ["ignored"], "the mark")
        self.eventually(lambda: self.text("#count-ignored") == "1", "the count")

    def test_partial_response_shows_the_refused_batches(self):
        # Leaves the page first, because a broken stream is an error in the log of the browser, which all tests share.
        self.browser.get("about:blank")
        self.mock.stop()
        self.mock = Mock(0, "--partial-responses")
        self.open()
        self.assertEqual(self.text("#mode"), "strict mode, partial responses")
        body = [batch(event("Fine")), batch(event("Broken", kind="wrong"), user="2"), batch(event("Also fine"), user="3")]
        self.assertEqual(self.mock.post("/bulkevents", body), 202)
        self.eventually(lambda: "Broken" in self.names(), "the event")
        self.assertEqual(self.text("#requests .status"), "202 Accepted")
        self.assertIn("1 of 3 batches refused", self.texts("#requests header .tag"))
        refused = self.script(
            "return [...document.querySelectorAll('.batch')].map((e) => [e.querySelector('.user bdi').textContent,"
            " [...e.querySelectorAll('.who .tag.bad')].map((tag) => tag.textContent).join()])"
        )
        self.assertEqual(refused, [["123456", ""], ["2", "refused"], ["3", ""]])
        for name, count in {"batches": "2", "events": "2", "refused": "0"}.items():
            self.eventually(lambda: self.text(f"#count-{name}") == count, f"the count of {name}")

    def test_body_that_is_not_json_is_shown_as_text(self):
        self.assertEqual(self.mock.post("/events", b'{"environment": <b>'), 400)
        self.eventually(lambda: '{"environment": <b>' in (self.text("#requests .body") or ""), "the body")
        self.assertIn("400", self.text("#requests .status"))

    def test_rate_limit_has_a_meter(self):
        self.mock.stop()
        self.mock = Mock(0, "--rate", "5")
        self.open()
        self.assertTrue(self.one("#rate").is_displayed())
        self.mock.burst([batch(event())] * 20)
        self.eventually(lambda: self.script("return document.getElementById('rate').value") > 0, "the rate")

    def test_loads_resources_only_from_the_mock(self):
        self.mock.post("/events", INVALID)
        self.eventually(self.names, "an event")
        loaded = self.script(
            "return performance.getEntries().map((entry) => entry.name).filter((name) => name.includes(':'))"
        )
        self.assertTrue(any(name.endswith("/page/main.js") for name in loaded), loaded)
        for name in loaded:
            self.assertTrue(name.startswith(self.mock.url + "/"), name)
        self.assertEqual([entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"], [])


class Violations(PageTest):
    def test_error_is_shown_at_its_event_with_its_pointer(self):
        body = [batch(event("Fine")), batch(event("Also fine"), event("Broken", kind="wrong"))]
        self.assertEqual(self.mock.post("/bulkevents", body), 400)
        self.eventually(lambda: "Broken" in self.names(), "the event")
        broken = self.script(
            "return [...document.querySelectorAll('.events > li')].map((e) => [e.querySelector('.name').textContent,"
            " e.querySelector('.violations .error .pointer')?.textContent ?? null])"
        )
        self.assertEqual(
            broken, [["Fine", None], ["Also fine", None], ["Broken", "/1/events/1/data/custom_event_type"]]
        )
        self.assertIn("wrong", self.text(".violations .error .message"))
        self.assertEqual(self.text(".violations .error .flag"), "error")
        self.assertIn("1 error", self.texts("#requests .tag.error"))
        red, green, _ = self.script(
            "return getComputedStyle(document.querySelector('.violations .error .flag'))"
            ".color.match(/\\d+/g).map(Number)"
        )
        self.assertGreater(red, green + 80, "an error is not red")

    def test_line_of_the_json_is_marked(self):
        self.mock.post("/events", batch(event("Broken", kind="wrong")))
        self.eventually(lambda: self.names() == ["Broken"], "the event")
        self.one("#requests .event summary").click()
        self.eventually(lambda: self.texts(".line.error .key") == ['"custom_event_type"'], "the line")

    def test_error_of_a_batch_is_shown_at_the_batch(self):
        self.mock.post("/events", batch(event(), environment="test"))
        self.eventually(
            lambda: self.texts(".batch > .growing > .violations .pointer") == ["/environment"], "the pointer"
        )

    def test_warning_is_marked(self):
        self.assertEqual(self.mock.post("/events", batch(event(), schema_version=2)), 202)
        self.eventually(lambda: self.texts(".violations .warning .pointer") == ["/schema_version"], "the warning")
        self.assertEqual(self.text(".violations .warning .flag"), "warning")
        self.assertEqual(self.texts(".violations .error"), [])


class Filter(PageTest):
    def setUp(self):
        super().setUp()
        self.mock.post(
            "/bulkevents", [batch(event("Signed Up"), screen("Home"), user="ada"), batch(screen("Cart"), user="grace")]
        )
        self.mock.post("/events", batch(event("Broken", kind="wrong"), event("Sound"), user="ada"))
        self.eventually(lambda: len(self.names()) == 5, "the events")

    def test_filters_by_name_type_and_user(self):
        for wanted, names in {
            "signed": ["Signed Up"],
            "SCREEN_VIEW": ["Home", "Cart"],
            "grace": ["Cart"],
            "unknown": [],
            "": ["Broken", "Sound", "Signed Up", "Home", "Cart"],
        }.items():
            field = self.one("#filter-text")
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(wanted or Keys.DELETE)
            self.eventually(lambda: self.names() == names, f"the events of {wanted!r}")
            self.assertEqual(self.one("#unmatched").is_displayed(), names == [])

    def test_filters_by_type(self):
        self.one("#filter-type option[value=screen_view]").click()
        self.eventually(lambda: self.names() == ["Home", "Cart"], "the screens")
        self.mock.post("/events", batch(screen("Late"), event("Hidden")))
        self.eventually(lambda: self.names() == ["Late", "Home", "Cart"], "the filter applies to new requests")

    def test_filters_violations(self):
        self.one("#filter-violations").click()
        self.eventually(lambda: self.names() == ["Broken"], "the broken event alone")

    def test_click_on_a_user_filters(self):
        self.one("#requests .user").click()
        self.eventually(lambda: self.names() == ["Broken", "Sound", "Signed Up", "Home"], "one user's events")

    def test_escape_resets_the_filter(self):
        self.one("#filter-text").send_keys("grace")
        self.eventually(lambda: self.names() == ["Cart"], "one user's events")
        self.one("#filter-text").send_keys(Keys.ESCAPE)
        self.eventually(lambda: len(self.names()) == 5, "all of them")


class Controls(PageTest):
    def test_pause_delays_new_requests_until_resume(self):
        self.mock.post("/events", batch(event("Before")))
        self.eventually(lambda: self.names() == ["Before"], "the first event")
        self.one("#pause").click()
        for name in ["Held 1", "Held 2"]:
            self.mock.post("/events", batch(event(name)))
        self.eventually(lambda: "2 requests wait" in self.text("#waiting"), "the number of waiting requests")
        self.assertEqual(self.names(), ["Before"])
        self.assertEqual(self.text("#pause .text"), "Resume")
        self.one("#pause").click()
        self.eventually(lambda: self.names() == ["Held 2", "Held 1", "Before"], "the waiting events")
        self.assertFalse(self.one("#waiting").is_displayed())

    def test_clear_empties_only_the_view(self):
        self.mock.post("/events", batch(event("Gone")))
        self.eventually(lambda: self.names() == ["Gone"], "the event")
        self.one("#clear").click()
        self.eventually(lambda: self.one("#cleared").is_displayed() and self.names() == [], "nothing")
        self.assertEqual(self.text("#count-requests"), "1")
        self.mock.post("/events", batch(event("Next")))
        self.eventually(lambda: self.names() == ["Next"], "the next event")

    def test_reconnects_to_a_new_server(self):
        self.mock.post("/events", batch(event("Old")))
        self.eventually(lambda: self.names() == ["Old"], "the event")
        port = self.mock.port
        self.mock.stop()
        self.eventually(lambda: self.text("#connection") == "Reconnecting", "the loss")
        self.mock = Mock(port)
        self.mock.post("/events", batch(event("New")))
        self.eventually(lambda: self.names() == ["New"], "only the events of the new server")
        self.assertEqual(self.text("#connection"), "Live")

    def test_keyboard_shortcuts(self):
        self.mock.post("/events", batch(event("One"), event("Two", kind="wrong")))
        self.eventually(lambda: self.names() == ["One", "Two"], "the events")
        focused = lambda: self.script("return document.activeElement.textContent")
        self.press("j")
        self.assertIn("One", focused())
        self.press("j")
        self.assertIn("Two", focused())
        self.press(Keys.ENTER)
        self.eventually(lambda: "Two" in (self.text("#requests .event[open] pre") or ""), "the JSON")
        self.press("k")
        self.assertIn("One", focused())
        self.press("/")
        self.press("one")
        self.eventually(lambda: self.names() == ["One"], "the filter")
        self.press("p")
        self.assertEqual(self.text("#pause .text"), "Pause", "shortcuts are not disabled in a text field")
        self.press(Keys.ESCAPE, Keys.TAB, Keys.TAB, "v")
        self.eventually(lambda: self.names() == ["Two"], "only violations")
        self.press("p")
        self.eventually(lambda: self.text("#pause .text") == "Resume", "paused")
        self.press("p", "v", "?")
        self.eventually(lambda: self.one("#shortcuts").is_displayed(), "the keys")
        self.press(Keys.ESCAPE)
        self.eventually(lambda: not self.one("#shortcuts").is_displayed(), "the keys closed")
        self.press("c")
        self.eventually(lambda: self.names() == [], "cleared")

    def test_shortcuts_can_be_disabled(self):
        self.one("#help").click()
        self.one("#shortcuts-on").click()
        self.one("#shortcuts-close").click()
        self.press("p")
        self.assertEqual(self.text("#pause .text"), "Pause")


class Hostile(PageTest):
    MARKUP = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'

    def test_markup_is_shown_as_text(self):
        inner = event(self.MARKUP, **{self.MARKUP: self.MARKUP})
        typed = {"event_type": self.MARKUP, "data": {}}
        self.mock.post("/events", batch(inner, typed, user=self.MARKUP, environment=self.MARKUP, **{self.MARKUP: 1}))
        self.mock.post("/events", self.MARKUP.encode())
        self.eventually(lambda: len(self.texts("#requests .request")) == 2, "both requests")
        self.script("for (const details of document.querySelectorAll('#requests details')) details.open = true")
        self.eventually(lambda: len(self.texts("#requests .json pre")) == 3, "the JSON")
        self.assertEqual(self.names()[0], self.MARKUP)
        self.assertEqual(self.texts("#requests .type")[1], self.MARKUP)
        self.assertEqual(self.texts("#requests .user bdi"), [self.MARKUP])
        self.assertEqual(self.texts("#filter-type option")[1:], sorted([self.MARKUP, "custom_event"]))
        self.assertIn("<img src=x", self.text("#requests .body"))
        self.assertEqual(self.all("#requests img, #requests script, #filter-type img"), [])
        self.assertIsNone(self.script("return window.broken ?? null"))
        self.one("#requests .user").click()
        self.eventually(
            lambda: self.script("return document.getElementById('filter-text').value") == self.MARKUP, "the filter"
        )
        self.assertIsNone(self.script("return window.broken ?? null"))

    def test_bodies_of_any_shape_are_shown(self):
        self.mock.post(
            "/bulkevents",
            [None, 1, "text", [], {}, {"events": 1}, {"events": [None, 1, {"data": None}, {"event_type": 1}]}],
        )
        self.mock.post(
            "/events",
            {
                "events": [{"event_type": {"a": 1}, "data": {"event_name": ["b"], "product_action": "c"}}],
                "user_identities": 1,
            },
        )
        self.mock.post("/events", batch(event("Last")))
        self.eventually(lambda: len(self.texts("#requests .request")) == 3, "all requests")
        self.assertEqual(self.names()[0], "Last")
        self.assertEqual([entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"], [])


class Load(PageTest):
    def test_burst_does_not_grow_the_document_without_bound(self):
        self.assertEqual(
            self.mock.burst(batch(event(f"Event {number}"), user=f"user-{number}") for number in range(5000)), {202}
        )
        self.eventually(lambda: self.text("#count-requests").replace(",", "") == "5000", "all are counted")
        self.eventually(lambda: self.text("#showing") == f"{SHOWN} shown of {KEPT:,} kept", "the bounds")
        self.eventually(lambda: self.text("#requests .number") == "#5000", "the newest is on top")
        self.assertEqual(len(self.texts("#requests > li")), SHOWN)
        self.assertLess(self.script("return document.querySelectorAll('*').length"), 10_000)
        self.assertIn(f"{KEPT:,}", self.text("#bounds"))
        self.assertIn(str(SHOWN), self.text("#bounds"))

    def test_pause_keeps_a_bounded_number_of_requests(self):
        self.one("#pause").click()
        self.mock.burst(batch(event(f"Event {number}")) for number in range(KEPT + 100))
        self.eventually(
            lambda: self.text("#waiting") == f"Paused. {KEPT + 100:,} requests came; the latest {KEPT:,} of them wait.",
            "the bound",
        )

    def test_large_request_is_expanded_on_demand(self):
        self.mock.post(
            "/bulkevents",
            [batch(*[event(f"Event {number}") for number in range(20)], user=f"user-{user}") for user in range(50)],
        )
        self.eventually(lambda: len(self.texts("#requests .batch")) == 4, "the first batches")
        self.assertEqual(len(self.names()), 24)
        self.one("#requests .events + .more").click()
        self.assertEqual(len(self.names()), 30)
        self.one("#requests .batches + .more").click()
        self.assertEqual(len(self.texts("#requests .batch")), 8)


class Access(PageTest):
    def populate(self):
        self.mock.post("/events", batch(event(), schema_version=2))
        self.mock.post("/bulkevents", [INVALID, batch(event(), screen("Home"), user="ada")])
        self.eventually(lambda: len(self.names()) == 4, "the events")
        self.script("document.querySelector('#requests .event').open = true")
        self.eventually(lambda: self.texts("#requests .json"), "the JSON")

    def violations_of_axe(self):
        # While a card is fading in, its colours have less contrast.
        self.eventually(lambda: self.script("return document.getAnimations().length === 0"), "the end of all animations")
        self.script(pathlib.Path(os.environ["AXE"]).read_text())
        passed, found = self.browser.execute_async_script(
            "const done = arguments[0]; axe.run(document, { preload: false }).then(({ passes, violations }) =>"
            " done([passes.length,"
            " violations.map(({ id, nodes }) => [id, nodes.map(({ failureSummary }) => failureSummary)])]))"
        )
        self.assertGreater(passed, 10, "axe checked too little of the page")
        return found

    def test_axe_finds_no_violations(self):
        for scheme, width in [("light", 1280), ("dark", 1280), ("light", 360)]:
            self.window(width, 900, scheme)
            self.assertEqual(self.violations_of_axe(), [], f"empty, {scheme}")
        self.populate()
        for scheme, width in [("light", 1280), ("dark", 1280), ("light", 360)]:
            self.window(width, 900, scheme)
            self.assertEqual(self.violations_of_axe(), [], f"full, {scheme}")

    def test_document_has_names_ids_headings_and_language(self):
        self.populate()
        self.assertEqual(self.script("return document.documentElement.lang"), "en")
        ids = self.script("return [...document.querySelectorAll('[id]')].map(({ id }) => id)")
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(len(self.all("h1")), 1)
        levels = self.script(
            "return [...document.querySelectorAll('h1, h2, h3, h4')].filter((e) => e.checkVisibility())"
            ".map(({ tagName }) => Number(tagName[1]))"
        )
        self.assertTrue(all(after <= before + 1 for before, after in zip(levels, levels[1:])), levels)
        for control in self.all("button, input, select, summary"):
            if control.is_displayed():
                self.assertTrue(control.accessible_name, control.get_attribute("outerHTML"))
        for landmark in ["header", "search", "main", "footer"]:
            self.assertEqual(len(self.all(f"body > {landmark}")), 1, landmark)

    def test_new_requests_are_announced_together(self):
        self.script(
            "window.announcements = []; const announcer = document.getElementById('announcer'); new MutationObserver(() => "
            "announcements.push(announcer.textContent)).observe(announcer, { childList: true })"
        )
        self.mock.burst([batch(event())] * 100)
        self.eventually(
            lambda: sum(int(text.split()[0]) for text in self.script("return announcements")) == 100, "all are announced"
        )
        self.assertLess(len(self.script("return announcements")), 50, "too many announcements to follow")

    def test_page_fits_360_pixels(self):
        self.window(360, 800)
        self.mock.post("/events", batch(event("W" * 300, kind="wrong", **{"k" * 200: "v" * 3000}), user="u" * 200))
        self.eventually(self.names, "the event")
        self.script("for (const details of document.querySelectorAll('#requests details')) details.open = true")
        self.eventually(lambda: self.texts("#requests .json"), "the JSON")
        self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), 360)

    def test_screenshots(self):
        self.populate()
        directory = pathlib.Path(os.environ["PAGE_ARTEFACTS"])
        directory.mkdir(parents=True, exist_ok=True)
        for scheme in ["light", "dark"]:
            self.window(1280, 1000, scheme)
            path = directory / f"page-{scheme}.png"
            path.write_bytes(self.browser.get_screenshot_as_png())
            self.assertGreater(path.stat().st_size, 10_000)


if __name__ == "__main__":
    unittest.main()
