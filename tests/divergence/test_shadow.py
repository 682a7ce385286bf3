"""The shadow alone: what it remembers is bounded, whatever a guest does."""

from pvtrace.divergence.shadow import MOST_IMAGES, MOST_LEFT, Shadow
from pvtrace.model.events import Kind

IN_A_SECTION = Shadow(vif=False, section=0)


def test_frames_that_a_kernel_abandons_do_not_pile_up() -> None:
    shadow = IN_A_SECTION
    for slot in range(MOST_LEFT + 10):
        shadow = shadow.leaving((0, slot), Kind.EXCEPTION)
    assert list(shadow.left) == [(0, slot) for slot in range(10, MOST_LEFT + 10)]


def test_images_do_not_pile_up() -> None:
    shadow = IN_A_SECTION
    for address in range(MOST_IMAGES + 10):
        shadow = shadow.remembering(address, 0x202, 0x002, 0).saving(address, 0x202)
    assert list(shadow.images) == list(shadow.saves) == list(range(10, MOST_IMAGES + 10))
