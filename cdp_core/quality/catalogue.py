"""Expectation types of Great Expectations that run on a staged batch, and their arguments.

It is kept as text so that reading a suite does not import Great Expectations (4 to 8 s); a test compares it with the
installed version. Source: the registry of great-expectations 1.24, less the types without a SQL implementation.
"""

from __future__ import annotations

from dataclasses import dataclass

_COMMON = "row_condition condition_parser"
_RANGE = f"min_value max_value strict_min strict_max {_COMMON}"

_ROWS = {
    "expect_column_pair_values_a_to_be_greater_than_b": "column_A! column_B! or_equal ignore_row_if mostly",
    "expect_column_pair_values_to_be_equal": "column_A! column_B! ignore_row_if mostly",
    "expect_column_value_lengths_to_be_between": f"column! mostly {_RANGE}",
    "expect_column_value_lengths_to_equal": "column! value! mostly",
    "expect_column_value_z_scores_to_be_less_than": "column! threshold! double_sided! mostly",
    "expect_column_values_to_be_between": f"column! mostly {_RANGE}",
    "expect_column_values_to_be_in_set": "column! value_set! mostly",
    "expect_column_values_to_be_null": "column! mostly",
    "expect_column_values_to_be_unique": "column! mostly",
    "expect_column_values_to_match_like_pattern": "column! like_pattern! escape mostly",
    "expect_column_values_to_match_like_pattern_list": "column! like_pattern_list! match_on escape mostly",
    "expect_column_values_to_match_regex": "column! regex mostly",
    "expect_column_values_to_match_regex_list": "column! regex_list! match_on mostly",
    "expect_column_values_to_not_be_in_set": "column! value_set! mostly",
    "expect_column_values_to_not_be_null": "column! mostly",
    "expect_column_values_to_not_match_like_pattern": "column! like_pattern! escape mostly",
    "expect_column_values_to_not_match_like_pattern_list": "column! like_pattern_list! escape mostly",
    "expect_column_values_to_not_match_regex": "column! regex! mostly",
    "expect_column_values_to_not_match_regex_list": "column! regex_list! mostly",
    "expect_compound_columns_to_be_unique": "column_list! ignore_row_if mostly",
    "expect_multicolumn_sum_to_equal": "column_list! sum_total! ignore_row_if mostly",
    "expect_multicolumn_values_to_be_equal": "column_list! ignore_row_if mostly",
    "expect_select_column_values_to_be_unique_within_record": "column_list! ignore_row_if mostly",
    "unexpected_rows_expectation": "unexpected_rows_query!",
}
_WHOLE = {
    "expect_column_distinct_values_to_be_in_set": "column! value_set!",
    "expect_column_distinct_values_to_contain_set": "column! value_set!",
    "expect_column_distinct_values_to_equal_set": "column! value_set!",
    "expect_column_max_to_be_between": f"column! {_RANGE}",
    "expect_column_mean_to_be_between": f"column! {_RANGE}",
    "expect_column_median_to_be_between": f"column! {_RANGE}",
    "expect_column_min_to_be_between": f"column! {_RANGE}",
    "expect_column_most_common_value_to_be_in_set": "column! value_set! ties_okay",
    "expect_column_proportion_of_non_null_values_to_be_between": f"column! {_RANGE}",
    "expect_column_proportion_of_unique_values_to_be_between": f"column! {_RANGE}",
    "expect_column_quantile_values_to_be_between": "column! quantile_ranges! allow_relative_error",
    "expect_column_stdev_to_be_between": f"column! {_RANGE}",
    "expect_column_sum_to_be_between": f"column! {_RANGE}",
    "expect_column_to_exist": "column! column_index",
    "expect_column_type_to_be": "column! type_!",
    "expect_column_unique_value_count_to_be_between": f"column! {_RANGE}",
    "expect_column_values_to_be_in_type_list": "column! type_list mostly",
    "expect_column_values_to_be_of_type": "column! type_! mostly",
    "expect_table_column_count_to_be_between": "min_value max_value",
    "expect_table_column_count_to_equal": "value!",
    "expect_table_columns_to_match_ordered_list": "column_list",
    "expect_table_columns_to_match_set": "column_set exact_match",
    "expect_table_row_count_to_be_between": f"{_RANGE}",
    "expect_table_row_count_to_equal": "value!",
}
_UNCONDITIONAL = ("expect_column_to_exist", "expect_column_type_to_be", "unexpected_rows_expectation")


@dataclass(frozen=True)
class ExpectationType:
    """One type. `rows`: it can name the rows that fail, so it may have the severity quarantine."""

    name: str
    rows: bool
    arguments: frozenset[str]
    required: frozenset[str]

    @classmethod
    def parse(cls, name: str, text: str, rows: bool) -> ExpectationType:
        words = text.split()
        if not name.startswith("expect_table_column") and name not in _UNCONDITIONAL:
            words += _COMMON.split()
        plain = frozenset(word.rstrip("!") for word in words)
        return cls(name, rows, plain, frozenset(word[:-1] for word in words if word.endswith("!")))


TYPES: dict[str, ExpectationType] = {
    name: ExpectationType.parse(name, text, rows)
    for group, rows in ((_ROWS, True), (_WHOLE, False))
    for name, text in group.items()
}
