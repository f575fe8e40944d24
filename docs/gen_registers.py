"""The reference of registers, written out of the classes in siov.spec."""

import importlib
import inspect
import pkgutil
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_origin

from siov import spec
from siov.spec.message import Message, Nested, Number
from siov.spec.word import Field, RegisterBlock, Span, Word

LANGUAGES = ("siov.spec.word", "siov.spec.message")
KINDS = (RegisterBlock, Word, Message, IntEnum)


@dataclass(slots=True, frozen=True)
class Page:
    """One module of `siov.spec`: where its page is, and the classes of KINDS that it declares."""

    module: ModuleType

    @property
    def name(self) -> str:
        """The module below siov.spec, as in `pcie.header`."""
        return self.module.__name__.removeprefix("siov.spec.")

    @property
    def path(self) -> str:
        """The page's file, relative to the folder of the documentation."""
        return f"reference/{self.name.replace('.', '/')}.md"

    def declared(self, kind: type) -> list[Any]:
        """The classes of a kind in the module's body, in its order."""
        return [
            thing
            for thing in vars(self.module).values()
            if isinstance(thing, type)
            and issubclass(thing, kind)
            and thing.__module__ == self.module.__name__
        ]

    def numbers(self) -> list[tuple[str, int, str]]:
        """Name, value and meaning of each number that the module annotates with what it means."""
        found = inspect.get_annotations(self.module).items()
        return [
            (name, getattr(self.module, name), kind.__metadata__[0])
            for name, kind in found
            if get_origin(kind) is Annotated
        ]


def spec_pages() -> list[Page]:
    """A page for each module of `siov.spec` that declares something."""
    found = []
    for info in pkgutil.walk_packages(spec.__path__, "siov.spec."):
        page = Page(importlib.import_module(info.name))
        declares = page.numbers() or any(page.declared(kind) for kind in KINDS)
        if declares and info.name not in LANGUAGES:
            found.append(page)
    return sorted(found, key=lambda page: page.name)


def spec_index(pages: list[Page]) -> str:
    """The list of the pages, with what each holds."""
    rows = []
    for page in pages:
        names = [link(cls, "reference/index.md") for kind in KINDS[:3] for cls in page.declared(kind)]
        names = names[:12] + (["…"] if len(names) > 12 else [])
        where = posixpath.relpath(page.path, "reference")
        rows.append((f"[`{page.name}`]({where})", title(page.module), ", ".join(names)))
    return "\n".join(
        [
            "# Registers",
            "",
            "Each page is one file of `src/siov/spec`, written out of its classes when this site is built. "
            "Python, Rust and the listings of `siov lspci` use the same classes.",
            "",
            *table(("File", "What it is", "Classes"), rows),
            "",
            "## How to read the tables",
            "",
            "Offsets are in bytes from the start of the block, bits as the specifications number them. "
            "The reset value is that after a cold reset; a device may compose its own.",
            "",
            *table(("Access", "What software may do"), access_kinds()),
            "",
        ]
    )


def access_kinds() -> list[tuple[str, str]]:
    """Each access kind with the comment that stands beside it in word.py."""
    source = inspect.getsource(importlib.import_module("siov.spec.word"))
    return re.findall(r'^    (\w+) = "\1"  # (.+)$', source, re.MULTILINE)


def spec_page(page: Page) -> str:
    """One module as Markdown: its blocks with their registers, its words, messages and enums."""
    doc = inspect.getdoc(page.module) or ""
    head, _, rest = doc.partition("\n")
    lines = [f"# {head.rstrip('.')}", "", f'<p class="place" markdown>`src/siov/spec/{source(page)}`</p>', ""]
    lines += [rest.strip(), ""] if rest.strip() else []
    if numbers := page.numbers():
        rows = [(f"`{name}`", f"{value:,}", doc) for name, value, doc in numbers]
        lines += [*table(("Name", "Value", "What it is"), rows), ""]
    for block in page.declared(RegisterBlock):
        lines += block_lines(block, page)
    for word in page.declared(Word):
        lines += word_lines(word, page, 2)
    for message in page.declared(Message):
        lines += message_lines(message, page)
    for enum in page.declared(IntEnum):
        lines += [heading(enum, 2), "", first_line(enum), ""]
        lines += table(("Value", "Name"), [(f"{int(m):#x}", f"`{m.name}`") for m in enum])
        lines += [""]
    return "\n".join(lines)


def block_lines(block: type[RegisterBlock], page: Page) -> list[str]:
    """A block: where each register lies, then the fields of those that are declared in it."""
    lines = [heading(block, 2), "", first_line(block), "", place(f"{block.size:#x} bytes", block.ref), ""]
    rows = [
        (
            offsets(span),
            f"[`{span.name}`]({url(span.what, page.path)})",
            bits_of(span),
            reset(span.what),
            first_line(span.what),
        )
        for span in block.spans.values()
    ]
    lines += [*table(("Offset", "Register", "Bits", "Reset", "What it is"), rows), ""]
    for word in vars(block).values():
        if isinstance(word, type) and issubclass(word, Word):
            lines += word_lines(word, page, 3)
    return lines


def word_lines(word: type[Word], page: Page, level: int) -> list[str]:
    """A word: width, offset and section, then its fields."""
    at = [f"offset {word.at:#x}"] if hasattr(word, "at") else []
    at += [f"{word.count:,} of them, {word.stride:#x} bytes apart"] if word.count > 1 else []
    about = place(*at, f"{word.width} bits", f"reset {reset(word)}", word.ref)
    rows = [
        (
            f"{field.hi}:{field.lo}" if field.width > 1 else str(field.lo),
            f"`{field.name}`",
            field.access.value,
            f"{field.reset:#x}" if field.reset else "0",
            meaning(field, page),
        )
        for field in sorted(word.fields.values(), key=lambda field: -field.hi)
    ]
    head = ("Bits", "Field", "Access", "Reset", "Meaning")
    return [heading(word, level), "", first_line(word), "", about, "", *table(head, rows), ""]


def message_lines(message: type[Message], page: Page) -> list[str]:
    """A message: its size and where it comes from, then its members."""
    rows = []
    for member in message.members.values():
        doc = member.doc
        if isinstance(member, Nested):
            doc += f" ({link(member.what, page.path)})"
        elif isinstance(member, Number) and member.enum is not None:
            doc += f" ({link(member.enum, page.path)})"
        rows.append((str(member.at), f"`{member.name}`", str(member.size), doc))
    about = place(f"{message.size} bytes", message.ref)
    head = ("Offset", "Member", "Bytes", "Meaning")
    return [heading(message, 2), "", first_line(message), "", about, "", *table(head, rows), ""]


def meaning(field: Field, page: Page) -> str:
    """What a field says, with a link to the names of its values."""
    return field.doc if field.enum is None else f"{field.doc} ({link(field.enum, page.path)})"


def bits_of(span: Span) -> str:
    """The width of a register, how many there are in a row, or that it is a block."""
    if not issubclass(span.what, Word):
        return "a block" if span.count == 1 else f"{span.count} blocks"
    return str(span.what.width) if span.count == 1 else f"{span.count} of {span.what.width}"


def offsets(span: Span) -> str:
    """The offset of a register, or of the first and last in a row."""
    every = span.offsets()
    return f"{every[0]:#x}" if len(every) == 1 else f"{every[0]:#x} … {every[-1]:#x}"


def reset(what: type[Word] | type[RegisterBlock]) -> str:
    """A word's value after a cold reset."""
    return f"{what.initial().raw:#x}" if issubclass(what, Word) else ""


def anchor(cls: type) -> str:
    """The name of a class's place on its page."""
    return cls.__qualname__.lower().replace(".", "-")


def heading(cls: type, level: int) -> str:
    """A class's heading, with its anchor."""
    return f"{'#' * level} {cls.__name__} {{ #{anchor(cls)} }}"


def url(cls: type, page: str) -> str:
    """The place of a class, relative to a page."""
    target = f"reference/{cls.__module__.removeprefix('siov.spec.').replace('.', '/')}.md"
    file = "" if target == page else posixpath.relpath(target, posixpath.dirname(page))
    return f"{file}#{anchor(cls)}"


def link(cls: type, page: str) -> str:
    """A class's name, leading to its place."""
    return f"[`{cls.__name__}`]({url(cls, page)})"


def place(*parts: str) -> str:
    """What stands small below a heading."""
    return f'<p class="place" markdown>{" · ".join(parts)}</p>'


def source(page: Page) -> str:
    """The module's file below src/siov/spec."""
    return str(Path(page.module.__file__ or "").relative_to(next(iter(spec.__path__))))


def title(thing: object) -> str:
    """The first line of a docstring, without its full stop."""
    return first_line(thing).rstrip(".")


def first_line(thing: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").split("\n")[0]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {line} |" for line in lines]
