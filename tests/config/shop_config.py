"""A small valid configuration."""

from __future__ import annotations

GOOD = """\
# a shop
name: Shop
today: 1998-07-01            # the pinned clock
region: GB

sources:
  orders:
    type: file
    path: orders.csv
    map:
      type: track
      event: Order Completed
      key: [order_id]
      time: ordered_on
      identifiers: {user_id: customer}
      properties:
        total: {column: dollars, type: number}
  contacts:
    type: file
    path: contacts.csv
    map: {type: identify, key: id, identifiers: {email: email}, traits: {email: email}}

identity:
  identifiers:
    user_id: {limit: 1}
    email: {limit: 5}

traits:
  email: {pick: latest, sources: [contacts]}   # who may say it
  orders: {count: Order Completed}
  total_spent: {sum: Order Completed.total}
  big_orders: {count: Order Completed, where: {total: {at_least: 50}}, window: 90d}
  tier:
    sql: |
      SELECT profile_id, 'gold' AS tier
      FROM profiles

audiences:
  # people who buy
  buyers:
    description: Bought something   # ever
    where: {trait: orders, at_least: 1}
  big_buyers:
    where:
      and:
        - audience: buyers
        - {trait: total_spent, at_least: 500}
        - consent: newsletter
          equals: granted

destinations:
  exports: {type: file, path: data/exports}

syncs:
  buyers_csv:
    model: {audience: buyers}
    destination: exports
    key: profile_id
    options: {file: buyers.csv, format: csv}
    mapping:
      profile_id: profile_id
      email: email
"""


def line_of(text: str, part: str) -> int:
    """The line in which `part` first stands."""
    return text[: text.index(part)].count("\n") + 1
