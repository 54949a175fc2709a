"""The calculator: arithmetic on expressions as people write them.

It uses simpleeval, never `eval`. Length, digits and nesting are limited before evaluation, so that
every expression takes a short, bounded time.
"""

import ast
import re
import unicodedata

MAX_CHARS = 500
"""Maximum length of an expression, in characters."""

_LIMIT = 1e15
_MAX_BASE = 1e6
_MAX_EXPONENT = 100
_ALLOWED = re.compile(r"[-+*/%().0-9 \t^]*")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%(?!\s*[0-9(])")
_OPERAND = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(\s*%(?!\s*[0-9(]))?")
_LEADING_ZEROS = re.compile(r"(?<![0-9.])0+(?=[0-9])")
_SIGNS = str.maketrans(
    {"×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "$": "", "€": "", "£": ""}
)


def calculate(expression: str) -> str:
    """Return the value of an arithmetic expression as text, or a sentence on why it has none.

    Supports ``+ - * / % ^ ( )``, ``×``, ``÷``, ``1,234`` and ``15%``. Integers are printed without
    a decimal point, other values with at most 10 significant digits.
    """
    if len(expression) > MAX_CHARS:
        return f"The expression is longer than {MAX_CHARS} characters."
    text = _PERCENT.sub(r"(\1/100)", _plain(expression))
    if not text.strip() or not _ALLOWED.fullmatch(text):
        return "Only numbers, + - * / % ^ and parentheses can be worked out."
    return _evaluate(text.replace("^", "**").strip())


def numbers_in(expression: str) -> tuple[float, ...]:
    """Return the numbers in an expression, without signs, in order; ``15%`` is 0.15."""
    matches = _OPERAND.finditer(_plain(expression[:MAX_CHARS]))
    return tuple(float(match[1]) / (100 if match[2] else 1) for match in matches)


def with_number(expression: str, number: float, other: float) -> str:
    """Return an expression with one of its `numbers_in` replaced by another, wherever it occurs."""

    def changed(match: re.Match[str]) -> str:
        same = float(match[1]) / (100 if match[2] else 1) == number
        return f"({other:.9f})" if same else match[0]

    return _OPERAND.sub(changed, _plain(expression[:MAX_CHARS]))


def _plain(expression: str) -> str:
    """Return an expression in ASCII, without thousands separators and leading zeros."""
    # NFKC would join superscript and subscript digits to the number before them.
    plain = "".join(" . " if _is_raised(c) else c for c in expression)
    text = unicodedata.normalize("NFKC", plain).translate(_SIGNS).strip().rstrip("= ")
    return _LEADING_ZEROS.sub("", _THOUSANDS.sub("", text))


def _is_raised(character: str) -> bool:
    return unicodedata.decomposition(character).startswith(("<super>", "<sub>"))


def _evaluate(text: str) -> str:
    import simpleeval

    operators = simpleeval.DEFAULT_OPERATORS | {ast.Pow: _bounded_power}
    evaluator = simpleeval.SimpleEval(operators=operators, functions={}, names={})
    try:
        value = evaluator.eval(text)
    except ZeroDivisionError:
        return "Division by zero has no value."
    except (simpleeval.InvalidExpression, SyntaxError, ValueError, OverflowError, TypeError):
        return "That expression cannot be worked out."
    except (RecursionError, MemoryError):
        return "That expression is nested too deeply."
    if not isinstance(value, int | float) or value != value or abs(value) > _LIMIT:
        return "The result is not a number in range."
    if float(value).is_integer():
        return str(int(value))
    return f"{value:.10g}"


def _bounded_power(base: float, exponent: float) -> float:
    if abs(base) > _MAX_BASE or abs(exponent) > _MAX_EXPONENT:
        raise OverflowError("power out of bounds")
    return float(base**exponent)
