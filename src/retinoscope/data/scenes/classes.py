"""The things that embedded scenes are made of, and where they are usually seen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneClass:
    """One class of things.

    Attributes:
        name: singular noun, one word ("dog").
        plural: its plural ("dogs").
        article: "a" or "an".
        kind: the wider class ("animal"), which becomes COCO's supercategory.
        icons: names of its icons in the sprite sets; a set may lack some of them.
        themes: names of the themes it belongs to.
    """

    name: str
    plural: str
    article: str
    kind: str
    icons: tuple[str, ...]
    themes: tuple[str, ...]


# name | plural | kind | icons | themes
_TABLE = """
dog | dogs | animal | dog dog-face | park street room
cat | cats | animal | cat cat-face | park street room
rabbit | rabbits | animal | rabbit rabbit-face | park garden
frog | frogs | animal | frog frog-face | park garden sea
elephant | elephants | animal | elephant | park sea
penguin | penguins | animal | penguin | sea park
fish | fish | animal | fish tropical-fish | sea kitchen
turtle | turtles | animal | turtle | sea garden park
butterfly | butterflies | animal | butterfly | garden park
octopus | octopuses | animal | octopus | sea kitchen
apple | apples | fruit | red-apple green-apple | kitchen garden
banana | bananas | fruit | banana | kitchen room
strawberry | strawberries | fruit | strawberry | kitchen garden
pineapple | pineapples | fruit | pineapple | kitchen sea
carrot | carrots | food | carrot | kitchen garden
mushroom | mushrooms | food | mushroom | kitchen garden
pizza | pizzas | food | pizza | kitchen room
cake | cakes | food | birthday-cake shortcake | kitchen room
tree | trees | plant | deciduous-tree evergreen-tree | garden street park
cactus | cactuses | plant | cactus | garden room
sunflower | sunflowers | plant | sunflower | garden kitchen room
car | cars | vehicle | automobile oncoming-automobile sport-utility-vehicle | street park
bus | buses | vehicle | bus oncoming-bus trolleybus | street
bicycle | bicycles | vehicle | bicycle | street park
airplane | airplanes | vehicle | airplane small-airplane | street sea
rocket | rockets | vehicle | rocket | street room
boat | boats | vehicle | sailboat | sea street
guitar | guitars | object | guitar | room
umbrella | umbrellas | object | umbrella umbrella-with-rain-drops closed-umbrella | street sea park
clock | clocks | object | alarm-clock mantelpiece-clock | room kitchen street
key | keys | object | key old-key | room street
house | houses | building | house house-with-garden | street garden
"""


def _read_table(table: str) -> dict[str, SceneClass]:
    classes = {}
    for line in table.strip().splitlines():
        name, plural, kind, icons, themes = (field.strip() for field in line.split("|"))
        article = "an" if name[0] in "aeiou" else "a"
        classes[name] = SceneClass(
            name, plural, article, kind, tuple(icons.split()), tuple(themes.split())
        )
    return classes


CLASSES: dict[str, SceneClass] = _read_table(_TABLE)
"""Every class by its name, in a fixed order."""

NAMES: tuple[str, ...] = tuple(CLASSES)
"""Class names in the order of `CLASSES`."""

THEMES: dict[str, tuple[str, ...]] = {
    theme: tuple(c.name for c in CLASSES.values() if theme in c.themes)
    for theme in ("park", "street", "room", "kitchen", "garden", "sea")
}
"""Names of the classes of each theme: at least ten, so that a theme gives little away."""


def with_article(name: str) -> str:
    """Return "a dog" or "an apple" for a class name or a kind."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
