"""What can be changed in a module: one small change at a time, each of them a program that should fail its tests."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

#: Each operator and what takes its place: the neighbour first, for it is where tests are thin.
_SWAPS: Final[dict[type[ast.AST], tuple[type[ast.AST], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
#: Functions that are easily taken for one another.
_NAMES: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
#: Numbers up to this one count something, or are an index.
_COUNTS: Final = 10


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    module: str
    line: int
    #: The line as it is in the file, without its indentation.
    source: str
    #: What was changed, for example ``Lt -> LtE``.
    change: str
    #: Which of the same changes in lines of the same text, from 1.
    number: int
    tree: ast.Module

    @property
    def name(self) -> str:
        """The same as long as the line stays the same, wherever it moves."""
        return f"{self.source} | {self.change}" + (f" | {self.number}" if self.number > 1 else "")


def mutants_of(module: str, text: str) -> Iterator[Mutant]:
    """Every mutant of the module with this source *text*, in the order of the lines."""
    lines = text.splitlines()
    seen: dict[tuple[str, str], int] = {}
    for index in range(len(list(_sites(ast.parse(text))))):
        tree = ast.parse(text)  # each has a tree of its own, so that a change need not be undone
        node, change, apply = list(_sites(tree))[index]
        line: int = getattr(node, "lineno", 0)
        source = lines[line - 1].strip()
        number = seen[source, change] = seen.get((source, change), 0) + 1
        apply()
        yield Mutant(module, line, source, change, number, ast.fix_missing_locations(tree))


Site = tuple[ast.AST, str, Callable[[], None]]


def _sites(tree: ast.Module) -> Iterator[Site]:
    for node in _code(tree):
        yield from _of_operators(node)
        yield from _of_values(node)
        yield from _of_conditions(node)
        yield from _of_statements(node)


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that does something: no annotations but for the numbers in their calls, no options of decorators."""
    yield node
    for field, value in ast.iter_fields(node):
        if field == "decorator_list":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _calls(child) if field in {"annotation", "returns"} else _code(child)


def _calls(annotation: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Call):
            yield from _code(node)


def _setting(node: ast.AST, field: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(node, field, value)


def _named(old: object, new: object) -> str:
    return f"{type(old).__name__} -> {type(new).__name__}"


def _of_operators(node: ast.AST) -> Iterator[Site]:
    match node:
        case ast.Compare(ops=ops):
            for index, old in enumerate(ops):
                for kind in _SWAPS.get(type(old), ()):
                    new: Any = kind()
                    yield node, _named(old, new), _setting(node, "ops", [*ops[:index], new, *ops[index + 1 :]])
        case ast.BinOp(op=old) | ast.BoolOp(op=old) | ast.AugAssign(op=old):
            for kind in _SWAPS.get(type(old), ()):
                yield node, _named(old, kind()), _setting(node, "op", kind())
        case ast.Name(id=name) if name in _NAMES:
            yield node, f"{name} -> {_NAMES[name]}", _setting(node, "id", _NAMES[name])
        case _:
            pass


def _of_values(node: ast.AST) -> Iterator[Site]:
    match node:
        case ast.Constant(value=bool(value)):
            yield node, f"{value} -> {not value}", _setting(node, "value", not value)
        case ast.Constant(value=int(value) | float(value)):
            # Off by one where one counts; larger numbers are measures, and a test should notice another order of size.
            for new in (value + 1, value - 1) if abs(value) <= _COUNTS else (value * 2, value // 2):
                yield node, f"{value} -> {new}", _setting(node, "value", new)
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield node, "return None", _setting(node, "value", ast.Constant(None))
        case _:
            pass


def _of_conditions(node: ast.AST) -> Iterator[Site]:
    for field in ("test", "guard"):
        condition = getattr(node, field, None)
        if isinstance(condition, ast.expr):
            negated = ast.UnaryOp(ast.Not(), condition)
            if not isinstance(condition, ast.Compare):  # whose operator was changed
                yield node, f"negate {field}", _setting(node, field, negated)
            if field == "guard":
                yield node, "drop guard", _setting(node, field, None)
    if isinstance(node, ast.comprehension):
        for index, condition in enumerate(node.ifs):
            others = [*node.ifs[:index], *node.ifs[index + 1 :]]
            yield condition, "drop if", _setting(node, "ifs", others)


def _of_statements(node: ast.AST) -> Iterator[Site]:
    for field in ("body", "orelse", "finalbody"):
        body = getattr(node, field, None)
        if not isinstance(body, list):
            continue
        for index, statement in enumerate(body):
            drops = isinstance(statement, ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Delete)
            if drops or (isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)):
                changed = [*body[:index], ast.copy_location(ast.Pass(), statement), *body[index + 1 :]]
                yield statement, "drop", _setting(node, field, changed)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
