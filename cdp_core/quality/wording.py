"""Expectations in plain words, and what kind of value each of their arguments is: what a form needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cdp_core.quality.catalogue import TYPES, ExpectationType

ArgumentKind = Literal["column", "columns", "values", "texts", "bound", "number", "integer", "share", "flag", "choice",
                       "text", "sql", "json"]  # fmt: skip
_LABELS = {
    "expect_column_values_to_not_be_null": "is given",
    "expect_column_values_to_be_null": "is empty",
    "expect_column_values_to_be_in_set": "is one of",
    "expect_column_values_to_not_be_in_set": "is none of",
    "expect_column_values_to_be_between": "is between",
    "expect_column_values_to_be_unique": "is there once",
    "expect_column_values_to_match_regex": "matches the pattern",
    "expect_column_values_to_not_match_regex": "does not match the pattern",
    "expect_column_values_to_match_regex_list": "matches the patterns",
    "expect_column_values_to_not_match_regex_list": "matches none of the patterns",
    "expect_column_values_to_match_like_pattern": "is like",
    "expect_column_values_to_not_match_like_pattern": "is not like",
    "expect_column_values_to_match_like_pattern_list": "is like one of",
    "expect_column_values_to_not_match_like_pattern_list": "is like none of",
    "expect_column_value_lengths_to_be_between": "has a length between",
    "expect_column_value_lengths_to_equal": "has the length",
    "expect_column_value_z_scores_to_be_less_than": "is no outlier (z-score)",
    "expect_column_pair_values_a_to_be_greater_than_b": "is greater than another column",
    "expect_column_pair_values_to_be_equal": "equals another column",
    "expect_compound_columns_to_be_unique": "are there once together",
    "expect_multicolumn_sum_to_equal": "add up to",
    "expect_multicolumn_values_to_be_equal": "are equal",
    "expect_select_column_values_to_be_unique_within_record": "differ from each other",
    "unexpected_rows_expectation": "a query finds no wrong rows",
    "expect_column_distinct_values_to_be_in_set": "all values are among",
    "expect_column_distinct_values_to_contain_set": "all of these values occur",
    "expect_column_distinct_values_to_equal_set": "the values are exactly",
    "expect_column_max_to_be_between": "the highest is between",
    "expect_column_min_to_be_between": "the lowest is between",
    "expect_column_mean_to_be_between": "the mean is between",
    "expect_column_median_to_be_between": "the median is between",
    "expect_column_stdev_to_be_between": "the standard deviation is between",
    "expect_column_sum_to_be_between": "the sum is between",
    "expect_column_quantile_values_to_be_between": "the quantiles are between",
    "expect_column_most_common_value_to_be_in_set": "the most common value is one of",
    "expect_column_proportion_of_non_null_values_to_be_between": "the share that is given is between",
    "expect_column_proportion_of_unique_values_to_be_between": "the share of different values is between",
    "expect_column_unique_value_count_to_be_between": "the number of different values is between",
    "expect_column_to_exist": "the column is there",
    "expect_column_type_to_be": "the column has the type",
    "expect_column_values_to_be_of_type": "is of type",
    "expect_column_values_to_be_in_type_list": "is of one of the types",
    "expect_table_column_count_to_be_between": "the number of columns is between",
    "expect_table_column_count_to_equal": "the number of columns is",
    "expect_table_columns_to_match_ordered_list": "the columns are, in this order",
    "expect_table_columns_to_match_set": "the columns are",
    "expect_table_row_count_to_be_between": "the number of rows is between",
    "expect_table_row_count_to_equal": "the number of rows is",
}
_KINDS: dict[str, ArgumentKind] = {
    "column": "column", "column_A": "column", "column_B": "column", "column_list": "columns", "column_set": "columns",
    "value_set": "values", "regex_list": "texts", "like_pattern_list": "texts", "type_list": "texts",
    "min_value": "bound", "max_value": "bound", "threshold": "number", "sum_total": "number", "value": "integer",
    "column_index": "integer", "mostly": "share", "strict_min": "flag", "strict_max": "flag", "or_equal": "flag",
    "double_sided": "flag", "ties_okay": "flag", "exact_match": "flag", "match_on": "choice", "ignore_row_if": "choice",
    "condition_parser": "choice", "unexpected_rows_query": "sql", "quantile_ranges": "json",
}  # fmt: skip
_ARGUMENTS = {
    "column": "Column", "column_A": "Column", "column_B": "Other column", "column_list": "Columns",
    "column_set": "Columns", "value_set": "Values", "regex_list": "Patterns", "like_pattern_list": "Patterns",
    "type_list": "Types", "type_": "Type", "min_value": "Least", "max_value": "Most", "threshold": "Threshold",
    "sum_total": "Sum", "value": "Number", "column_index": "Place of the column", "mostly": "Share that must fit",
    "strict_min": "More than the least", "strict_max": "Less than the most", "or_equal": "Equal is fine",
    "double_sided": "On both sides", "ties_okay": "Ties are fine", "exact_match": "No other columns",
    "match_on": "Match", "ignore_row_if": "Leave out rows where", "row_condition": "Only rows where",
    "condition_parser": "Condition written for", "unexpected_rows_query": "Query for the wrong rows",
    "quantile_ranges": "Quantiles", "regex": "Regular expression", "like_pattern": "LIKE pattern", "escape": "Escape",
    "allow_relative_error": "Relative error",
}  # fmt: skip
_CHOICES = {"match_on": ("any", "all"), "condition_parser": ("great_expectations", "pandas", "spark")}
_PAIR = ("both_values_are_missing", "either_value_is_missing", "neither")
_MANY = ("all_values_are_missing", "any_value_is_missing", "never")
_ORDER = tuple(_ARGUMENTS)
_RARE = ("row_condition", "condition_parser", "escape", "column_index", "allow_relative_error", "ignore_row_if")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """An argument of an expectation type: its name, what people call it, what kind of value it takes, whether it must
    be given, the choices where there are any, and whether it is seldom needed.
    """

    name: str
    label: str
    kind: ArgumentKind
    required: bool
    choices: tuple[str, ...] = ()
    rare: bool = False


def label_of(type: str) -> str:
    """What an expectation of this type says, without its values.

    >>> label_of("expect_column_values_to_be_between")
    'is between'
    """
    return _LABELS.get(type, type.removeprefix("expect_").replace("_", " "))


def arguments_of(type: str) -> list[Argument]:
    """The arguments of a type in the order in which a person would give them. An unknown type has none.

    >>> [(a.label, a.kind) for a in arguments_of("expect_column_values_to_be_unique")][:2]
    [('Column', 'column'), ('Share that must fit', 'share')]
    """
    kind = TYPES.get(type)
    return [_argument(name, kind) for name in sorted(kind.arguments, key=_ORDER.index)] if kind else []


def _argument(name: str, kind: ExpectationType) -> Argument:
    choices = _CHOICES.get(name, ())
    if name == "ignore_row_if":
        choices = _PAIR if "pair" in kind.name else _MANY
    return Argument(
        name=name, label=_ARGUMENTS[name], kind=_KINDS.get(name, "text"), required=name in kind.required,
        choices=choices, rare=name in _RARE and name not in kind.required,
    )  # fmt: skip


def in_words(type: str, kwargs: Mapping[str, Any]) -> str:
    """An expectation as a phrase.

    >>> in_words("expect_column_values_to_be_between", {"column": "cds", "min_value": 1, "max_value": 500})
    'cds is between 1 and 500'
    >>> in_words("expect_column_values_to_be_between", {"column": "cds", "min_value": 0, "strict_min": True})
    'cds is more than 0'
    >>> in_words("expect_column_values_to_not_be_null", {"column": "email", "mostly": 0.95})
    'email is given, in 95% of rows at least'
    """
    columns = [kwargs[name] for name in ("column", "column_A") if kwargs.get(name)]
    columns = columns or list(kwargs.get("column_list") or [])
    label = label_of(type)
    if label.endswith(" between") and "quantile" not in type:
        label = f"{label.removesuffix(' between')} {_range(kwargs)}"
    words = [", ".join(map(str, columns)), label, _values(kwargs)]
    return " ".join(word for word in words if word) + _limits(kwargs)


def _range(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    least = f"{'more than' if kwargs.get('strict_min') else 'at least'} {low}" if low is not None else ""
    most = f"{'less than' if kwargs.get('strict_max') else 'at most'} {high}" if high is not None else ""
    if least and most and not kwargs.get("strict_min") and not kwargs.get("strict_max"):
        return f"between {low} and {high}"
    return " and ".join(filter(None, (least, most))) or "anything"


def _values(kwargs: Mapping[str, Any]) -> str:
    if kwargs.get("column_B"):
        return f"({kwargs['column_B']})"
    for name in ("value_set", "column_set", "regex_list", "like_pattern_list", "type_list"):
        if isinstance(kwargs.get(name), list):
            return ", ".join(map(str, kwargs[name]))
    found = (kwargs.get(name) for name in ("regex", "like_pattern", "type_", "value", "sum_total", "threshold"))
    return next((str(value) for value in found if value is not None), "")


def _limits(kwargs: Mapping[str, Any]) -> str:
    mostly, condition = kwargs.get("mostly"), kwargs.get("row_condition")
    share = ""
    if isinstance(mostly, int | float) and not isinstance(mostly, bool) and mostly != 1:
        share = f", in {mostly * 100:g}% of rows at least"
    return share + (f", only where {condition}" if condition else "")
