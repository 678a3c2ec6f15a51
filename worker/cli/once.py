"""An option that has one value is given once: of two the parser would take the last and say nothing of the first."""

from typing import Any

from worker.errors import UsageError


def each_option_once(command: Any) -> None:
    """Let *command*, and every command within it, refuse an option that is given twice, unless it may be."""
    for inner in getattr(command, "commands", {}).values():
        each_option_once(inner)
    command.make_parser = _strict(command.make_parser)


def _strict(make_parser: Any) -> Any:
    """*make_parser*, with a parser that looks at what it found; the library has no other seam for it."""

    def make(context: Any) -> Any:
        parser = make_parser(context)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            found = parse(args=args)
            _refuse_twice(found[2])
            return found

        parser.parse_args = parse_args
        return parser

    return make


def _refuse_twice(given: list[Any]) -> None:
    """*given* are the parameters of a command line, in its order and as often as it has them."""
    for option in given:
        is_single = option.param_type_name == "option" and not (option.multiple or option.is_flag or option.count)
        if is_single and given.count(option) > 1:
            raise UsageError(f"{option.opts[0]}: is given twice; give it once")
