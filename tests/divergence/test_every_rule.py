"""No rule without a guest that it finds something in, one that nearly does the same, and a page."""

import re
from typing import Final

import pytest

from pvtrace.divergence.catalogue import NOT_MODELLED, RULES, Rule
from tests.divergence import call_rows, instruction_rows, test_consequences

HEADINGS: Final = ("What happens.", "Natively.", "Why.", "What follows.", "In the guest.", "Example.")
WIDTH: Final = 120


def test_each_has_its_guests() -> None:
    tested = {row.rule for row in (*call_rows.ROWS, *instruction_rows.ROWS)} | set(test_consequences.RULES)
    assert tested == RULES.keys() - NOT_MODELLED


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_each_has_its_page(rule: Rule) -> None:
    page = rule.page
    assert page.startswith(f"# {rule.title[0].upper()}{rule.title[1:]}\n")
    assert tuple(re.findall(r"^\*\*(.+?)\*\*", page, re.MULTILINE)) == HEADINGS
    assert max(map(len, page.splitlines())) <= WIDTH
    assert "\n    " in page.partition("**Example.**")[2]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_pages_name_rules_and_latitudes_that_there_are(rule: Rule) -> None:
    for name in re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", rule.page):
        assert name in RULES, name
