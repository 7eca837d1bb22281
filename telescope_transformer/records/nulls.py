"""The texts that mean a missing value; every reader uses the same list for every field."""

import re

# The missing values of pandas' CSV reader, of MySQL and PostgreSQL exports (\N), of Zeek ("-", "(empty)") and of the
# languages in which loggers are written, and the errors of spreadsheets. Case is ignored.
_NULLS = r"""
- -- (empty) (null) (none) <na> <null> <nil> <none> #n/a #na n/a n.a. na nan -nan nat nil none null undefined \n
1.#ind -1.#ind 1.#qnan -1.#qnan
unknown (unknown) <unknown> missing unset undef void (none) (nil) none. nil. (undefined) (blank) <empty> empty
<unset> (unset) [null] {}  []
#value! #ref! #div/0! #name? #null! #num! #error!
"""
NULL_TEXTS = frozenset((*_NULLS.split(), "not available", "not applicable", "no value"))


def is_null(text: str) -> bool:
    """Whether `text` says that there is no value."""
    return not text or text.strip("\"'").lower() in NULL_TEXTS


# Zero, as a number or as a date of MySQL, nfdump and pmacct.
_NO_TIME = re.compile(r"0+(?:\.0+)?|0000-00-00.*|1970-01-01[T ]00:00:00(?:\.0+)?Z?")


def is_no_time(value: object) -> bool:
    """Whether a time is zero, which programs write if they do not know it."""
    return _NO_TIME.fullmatch(str(value).strip()) is not None
