"""The ports of a component as a user of Verilog wants them: one for each field, with a meaning.

Streams and records are one vector each in Amaranth's Verilog. Here each field of theirs is a port,
made from the signature and the layouts; what it means is what the docstrings and comments of the
classes say, so there is nothing to keep in step.
"""

import inspect
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape, ShapeCastable
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, FlippedSignature, In

WHOLE = "What is transferred."
HANDSHAKE = {
    "valid": "There is something to transfer.",
    "ready": "It is transferred in this clock, if `valid` is 1.",
}


@dataclass(frozen=True)
class Port:
    """A port of the Verilog module.

    Parameters
    ----------
    name
        Its name.
    is_input
        Its direction.
    bits
        Its width.
    meaning
        A phrase or some sentences.
    """

    name: str
    is_input: bool
    bits: int
    meaning: str


@dataclass(frozen=True)
class Group:
    """Ports that belong together: a stream, a record, or a single signal.

    Parameters
    ----------
    name
        What their names begin with.
    meaning
        What they are for; empty if the only port says it.
    vectors
        Name of each port that Amaranth gives the component, and the ports that it is made of, those
        with the lowest bits first.
    records
        What the docstrings of the classes that it is made of begin with.
    """

    name: str
    meaning: str
    vectors: dict[str, tuple[Port, ...]]
    records: tuple[str, ...] = ()

    @property
    def ports(self) -> list[Port]:
        """All of them."""
        return [port for ports in self.vectors.values() for port in ports]


def groups(component: Component) -> list[Group]:
    """The ports of a component, in the order of its signature, without clock and reset."""
    made = list(_walk(component.signature, type(component), (), ""))
    names = [port.name for group in made for port in group.ports]
    assert len(names) == len(set(names)), "two ports would have one name"
    return made


def _walk(signature: Any, owner: type, path: tuple[str, ...], meaning: str) -> Iterator[Group]:
    texts = described(owner)
    for step, member in signature.members.items():
        here, text = (*path, step), _joined(texts.get(step, ""), meaning)
        inner = None if member.is_port else member.signature
        plain = inner.flip() if isinstance(inner, FlippedSignature) else inner
        if inner is None:
            yield _signal(here, member, text)
        elif isinstance(plain, stream.Signature):
            yield _stream(here, inner, text)
        else:
            yield from _walk(inner, type(plain), here, text)


def _signal(path: tuple[str, ...], member: Any, meaning: str) -> Group:
    name = "_".join(map(_plain, path))
    ports = _ports(member, name, "")
    if not ports:
        ports, meaning = (Port(name, member.flow == In, _bits(member.shape), meaning),), ""
    return Group(name, meaning, {"__".join(path): ports}, _records(member.shape))


def _stream(path: tuple[str, ...], signature: Any, meaning: str) -> Group:
    name = "_".join(map(_plain, path))
    members = dict(signature.members)
    payload = members.pop("payload")
    whole = Port(f"{name}_data", payload.flow == In, _bits(payload.shape), WHOLE)
    vectors = {
        step: (Port(f"{name}_{step}", member.flow == In, 1, HANDSHAKE[step]),)
        for step, member in members.items()
    } | {"payload": _ports(payload, name, "") or (whole,)}
    named = {"__".join((*path, step)): ports for step, ports in vectors.items()}
    return Group(name, meaning, named, _records(payload.shape))


def _plain(step: str) -> str:
    """A name without the signs of direction that Amaranth's streams have."""
    return {"i": "rx", "o": "tx"}.get(step) or re.sub(r"^[io]_", "", step)


def _ports(member: Any, name: str, meaning: str) -> tuple[Port, ...]:
    """A port for each field of a record, lowest bits first; none of a number."""
    return tuple(
        Port(field, member.flow == In, bits, text)
        for field, bits, text in _fields(member.shape, name, meaning)
    )


def _fields(shape: Any, name: str, meaning: str) -> Iterator[tuple[str, int, str]]:
    if not _is_record(shape):
        return
    texts = described(shape)
    for key, field in data.Layout.cast(shape):
        text = _joined(meaning, texts.get(key, ""))
        inner = list(_fields(field.shape, f"{name}_{key}", text))
        yield from inner or [(f"{name}_{key}", field.width, text)]


def _records(shape: Any) -> tuple[str, ...]:
    """How each class of records in a shape introduces itself, the outermost first."""
    if not _is_record(shape):
        return ()
    owner = shape if inspect.isclass(shape) else type(shape)
    own = re.split(r"^(?:Members|Parameters)\n-+$", inspect.getdoc(owner) or "", flags=re.M)[0]
    inner = (_records(field.shape) for _, field in data.Layout.cast(shape))
    return tuple(dict.fromkeys([_text(own), *itertools.chain.from_iterable(inner)]))


def _is_record(shape: Any) -> bool:
    if isinstance(shape, data.Layout):
        return True
    return isinstance(shape, ShapeCastable) and isinstance(shape, type(data.Struct))


def _bits(shape: Any) -> int:
    return int(Shape.cast(shape).width)


def described(thing: Any) -> dict[str, str]:
    """What a class says of its members, in their ``#:`` comments or under Members.

    Parameters
    ----------
    thing
        A class, or an object of the class.
    """
    owner = thing if inspect.isclass(thing) else type(thing)
    return {**_commented(inspect.getsource(owner)), **_listed(inspect.getdoc(owner) or "")}


def _commented(source: str) -> dict[str, str]:
    found = re.findall(r"((?:^    #:.*\n)+)    (\w+):", source, re.MULTILINE)
    return {name: _text(re.sub(r"^ *#:", "", lines, flags=re.MULTILINE)) for lines, name in found}


def _listed(docstring: str) -> dict[str, str]:
    section = re.search(r"^Members\n-+\n((?:.+\n?|\n(?! *\S+\n-))*)", docstring, re.MULTILINE)
    found = {}
    for entry in re.finditer(r"^(\S.*)\n((?: +.*\n?|\n)*)", section[1] if section else "", re.M):
        for name in re.findall(r"\b[a-z]\w*", re.sub("``.*?``", "", entry[1])):
            found[name] = _text(entry[2])
    return found


def _joined(*texts: str) -> str:
    return " ".join(filter(None, texts))


def _text(lines: str) -> str:
    """Text of a docstring on one line, as Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", " ".join(lines.split()))
    return text.replace("``", "`")
