"""What a user does in the explorer's page, and what shows that it is done."""

from __future__ import annotations

from playwright.sync_api import Page, expect

PATIENCE = 60_000
"""Milliseconds that the model may take on a busy machine."""


def ready(page: Page) -> None:
    expect(page.locator("#grow")).to_be_enabled()


def selected(page: Page, count: int) -> None:
    text = f"{count} of 144 patches selected" if count else "No patch selected"
    expect(page.locator("#count")).to_have_text(text)


def centre(page: Page, row: int, column: int) -> tuple[float, float]:
    box = page.locator("#stage").bounding_box()
    assert box is not None
    return (
        box["x"] + box["width"] * (column + 0.5) / 12,
        box["y"] + box["height"] * (row + 0.5) / 12,
    )


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    page.locator("#stage").scroll_into_view_if_needed()
    page.mouse.move(*centre(page, *start))
    page.mouse.down()
    page.mouse.move(*centre(page, *end), steps=4)
    page.mouse.up()


def click(page: Page, row: int, column: int) -> None:
    page.locator("#stage").scroll_into_view_if_needed()
    page.mouse.click(*centre(page, row, column))
