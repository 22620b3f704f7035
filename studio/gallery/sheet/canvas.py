"""A page that is filled from the top and drawn when its height is known."""

from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from studio.gallery.sheet.lettering import font, leading, wrap

PAPER, INK, MUTED, LINE = "#f3f2ee", "#1a1c1f", "#5b6065", "#dddad2"
ACCENT, RED, SUNK = "#0f4c75", "#b3261e", "#eae8e2"
"""The page's colours by day (``studio/ui/style.css``)."""

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Written:
    """One line: where its top left stands, and how much room it was given, pixels."""

    at: Point
    text: str
    room: int
    size: int
    colour: str


@dataclass(slots=True)
class Paper:
    """``width`` pixels wide; as high as ``end`` says."""

    width: int
    height: int = 0
    texts: list[Written] = field(default_factory=list)
    pictures: list[tuple[Point, Image.Image]] = field(default_factory=list)
    areas: list[tuple[Point, Point, str]] = field(default_factory=list)

    def write(self, at: Point, text: str, room: int, size: int, colour: str, most: int) -> int:
        """``text`` in lines of at most ``room`` pixels, at most ``most`` of them; returns where
        they end."""
        x, y = at
        for line in wrap(text, room, size, most):
            self.texts.append(Written((x, y), line, room, size, colour))
            y += leading(size)
        return y

    def paste(self, at: Point, image: Image.Image) -> None:
        self.pictures.append((at, image))

    def sink(self, at: Point, size: Point) -> None:
        """An area where a picture is missing."""
        self.areas.append((at, size, SUNK))

    def rule(self, at: Point, length: int) -> None:
        self.areas.append((at, (length, 1), LINE))

    def end(self, height: int) -> None:
        self.height = height

    def image(self) -> Image.Image:
        page = Image.new("RGB", (self.width, self.height), PAPER)
        draw = ImageDraw.Draw(page)
        for (x, y), (width, height), colour in self.areas:
            draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
        for at, picture in self.pictures:
            page.paste(picture, at)
        for line in self.texts:
            draw.text(line.at, line.text, fill=line.colour, font=font(line.size))
        return page
