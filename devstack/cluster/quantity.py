"""Resource quantities (resource.Quantity): "100m", "1.5Gi", "1e3"; parsed exactly and written canonically."""

from __future__ import annotations

import functools
import re
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from typing import Any

PATTERN = re.compile(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$")
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO = Decimal("1e-9")
# Room for every quantity of the permitted length with nine places behind the point.
_CONTEXT = Context(prec=200, rounding=ROUND_CEILING)
_LENGTH_LIMIT = 64
BAD_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class QuantityError(ValueError):
    """The text is no quantity; the message is Kubernetes' own."""


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Decimal, str]:
    """The value and its form: "binary", "decimal" or "exponent".  Raises QuantityError."""
    match = PATTERN.match(text)
    if not match or len(text) > _LENGTH_LIMIT:
        raise QuantityError(BAD_QUANTITY)
    number, suffix = match.groups()
    try:
        value = Decimal(number)
    except InvalidOperation as error:
        raise QuantityError(BAD_QUANTITY) from error
    if suffix in _BINARY:
        return _ceil_nano(_CONTEXT.multiply(value, Decimal(2 ** _BINARY[suffix]))), "binary"
    if suffix in _DECIMAL:
        return _ceil_nano(value.scaleb(_DECIMAL[suffix], _CONTEXT)), "decimal"
    exponent = re.fullmatch(r"[eE]([-+]?[0-9]+)", suffix)
    if exponent and abs(int(exponent[1])) < 50:
        return _ceil_nano(value.scaleb(int(exponent[1]), _CONTEXT)), "exponent"
    raise QuantityError("unable to parse quantity's suffix")


def _ceil_nano(value: Decimal) -> Decimal:
    # copy_abs and copy_negate: abs() and minus would round to the precision of the thread's own context.
    magnitude = value.copy_abs().quantize(_NANO, context=_CONTEXT)
    return magnitude.copy_negate() if value < 0 else magnitude


def value_of(text: Any) -> Decimal:
    """The number a quantity stands for.  Raises QuantityError."""
    return parse(str(text))[0]


@functools.lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The text Kubernetes stores: the largest suffix without a fraction.  Raises QuantityError."""
    value, form = parse(text)
    return write(value, form)


def write(value: Decimal, form: str) -> str:
    if value == 0:
        return "0"
    if form == "binary" and (abs(value) < 1024 or value != value.to_integral_value()):
        form = "decimal"
    if form == "binary":
        return _binary(int(value))
    sign, digits, exponent = value.normalize(_CONTEXT).as_tuple()
    assert isinstance(exponent, int)
    mantissa = int("".join(map(str, digits)))
    rest = exponent % 3
    mantissa *= 10**rest
    exponent -= rest
    text = ("-" if sign else "") + str(mantissa)
    if form == "exponent":
        return text + (f"e{exponent}" if exponent else "")
    suffixes = {power: name for name, power in _DECIMAL.items()}
    while exponent > 18:
        mantissa *= 1000
        exponent -= 3
        text = ("-" if sign else "") + str(mantissa)
    return text + suffixes[exponent]


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < 60:
        value //= 1024
        power += 10
    suffixes = {bits: name for name, bits in _BINARY.items()}
    return f"{value}{suffixes.get(power, '')}"


def round_up_to_milli(text: str) -> str:
    """A resource list's values have no finer grain than a thousandth."""
    value, form = parse(text)
    rounded = value.quantize(Decimal("0.001"), context=_CONTEXT)
    return write(rounded, form) if rounded != value else canonical(text)
