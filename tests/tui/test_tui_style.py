"""Colours: every role has them, on every terminal, and what stands on a ground can be read."""

import pytest
from prompt_toolkit.styles import Style

from pvtrace.tui import style
from pvtrace.tui.roles import Role


@pytest.mark.parametrize("theme", [style.DARK, style.LIGHT, style.PLAIN])
def test_every_role_has_a_rule_that_is_understood(theme: str) -> None:
    rules = style.rules(theme)
    assert set(rules) == {role.value for role in Role}
    made = Style.from_dict(rules)
    for role in Role:
        made.get_attrs_for_style_str(f"class:{role.value}")


def test_a_plain_row_is_of_one_colour_whatever_stands_on_it() -> None:
    made = Style.from_dict(style.rules(style.PLAIN))
    for role in Role:
        attributes = made.get_attrs_for_style_str(f"class:{role.value} class:cursor")
        assert (attributes.color, attributes.reverse, attributes.dim) == ("default", True, False)


def test_grounds_follow_the_terminal() -> None:
    dark, light = (Style.from_dict(style.rules(theme)) for theme in (style.DARK, style.LIGHT))
    assert dark.get_attrs_for_style_str("class:cursor").bgcolor == style.LOOKS[Role.CURSOR].dark
    assert light.get_attrs_for_style_str("class:cursor").bgcolor == style.LOOKS[Role.CURSOR].light


@pytest.mark.parametrize(
    ("chosen", "colours", "theme"),
    [
        ("auto", "15;0", style.DARK),
        ("auto", "0;15", style.LIGHT),
        ("auto", "0;default;15", style.LIGHT),
        ("auto", "12;8", style.DARK),
        ("auto", "", style.PLAIN),
        ("auto", "default;default", style.PLAIN),
        ("light", "15;0", style.LIGHT),
        ("plain", "15;0", style.PLAIN),
    ],
)
def test_the_theme(chosen: str, colours: str, theme: str) -> None:
    assert style.theme(chosen, colours) == theme
