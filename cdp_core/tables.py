"""The canonical tables: names, columns, types, keys and meaning. Stages meet here and nowhere else.

All times are UTC, as timestamps without a zone in microseconds. Columns called properties, traits, context, payload,
reasons, stages and details hold JSON text. `source` is the source's name in cdp.yaml. A profile's trait columns come
behind the fixed columns of `profiles`; every other table has exactly the columns below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis
    import polars as pl

TIME = "timestamp(6)"
RECTIFICATION = "rectification"
"""The source of corrections that people have asked for: identify events that survivorship puts above all others."""
DESK = "desk"
"""The source of what people have said of consent to somebody who noted it here."""
OWN_SOURCES = (RECTIFICATION, DESK)
"""Names that no source of cdp.yaml may have."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One canonical table.

    `columns` maps a column to its type in Ibis' notation; `key` is unique in the table (empty: no key);
    `open` tables may carry more columns behind the fixed ones.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: dict[str, str]
    open: bool = False

    def ibis_schema(self) -> ibis.Schema:
        import ibis

        return ibis.schema(self.columns)

    def polars_schema(self) -> pl.Schema:
        import polars as pl

        kinds = {"string": pl.String, "int64": pl.Int64, "float64": pl.Float64, "boolean": pl.Boolean}
        return pl.Schema({c: kinds.get(t, pl.Datetime("us")) for c, t in self.columns.items()})

    def empty(self) -> pl.DataFrame:
        import polars as pl

        return pl.DataFrame(schema=self.polars_schema())


def _define(name: str, meaning: str, key: str, columns: str, *, open: bool = False) -> Table:
    kinds = {"s": "string", "i": "int64", "f": "float64", "b": "boolean", "t": TIME}
    pairs = (column.partition(":") for column in columns.split())
    return Table(
        name=name,
        meaning=meaning,
        key=tuple(key.split()),
        columns={column: kinds[kind or "s"] for column, _, kind in pairs},
        open=open,
    )


EVENTS = _define(
    "events",
    "Every fact from every source, as an event of the Segment spec. Append-only. `record_id` is the source's own "
    "record (a contact, a device); `row_key` identifies the source row whose versions these events are. `extra` is a "
    "JSON object of what else an event said (integrations, version, channel); null: nothing.",
    "source message_id",
    "source message_id type event user_id anonymous_id group_id previous_id timestamp:t original_timestamp:t "
    "sent_at:t received_at:t properties traits context record_id row_key run_id extra",
)
QUARANTINE = _define(
    "quarantine",
    "Rows held back, with their original content and every reason. status: held, replayed, discarded. `fixed` is the "
    "content as somebody has corrected it; a replay reads that in the place of `payload`. `shape` is event where the "
    "content is an event that was stored already, null where it is as the source gave it.",
    "source message_id",
    "source message_id received_at:t payload reasons status run_id fixed shape",
)
VIOLATIONS = _define(
    "violations",
    "How often each rule failed in a run. `description` and `sample` name columns and keys, never a customer's value.",
    "",
    "run_id source event rule field description severity count:i first_seen:t last_seen:t sample",
)
QUALITY_RESULTS = _define(
    "quality_results",
    "Result of every expectation in every run: rows checked, rows that failed, passed or not.",
    "run_id suite rule",
    "run_id suite table_name rule expectation field severity checked:i failed:i success:b observed at:t",
)
IDENTITY_LINKS = _define(
    "identity_links",
    "Evidence: two identifiers seen together, by which source, how often. Append-only facts.",
    "left_type left_value right_type right_value source rule",
    "left_type left_value right_type right_value source rule first_seen:t last_seen:t events:i",
)
USER_IDENTIFIERS = _define(
    "user_identifiers",
    "Which profile an identifier belongs to. Values are normalised.",
    "type value",
    "type value profile_id first_seen:t last_seen:t events:i",
)
EVENT_PROFILES = _define(
    "event_profiles",
    "Which profile an event belongs to. Only events that count: the newest version of a corrected row; events without "
    "any usable identifier are left out.",
    "source message_id",
    "source message_id profile_id",
)
PROFILE_MERGES = _define(
    "profile_merges",
    "A profile that went into another one; the old id still resolves.",
    "",
    "from_profile_id profile_id at:t reason",
)
IDENTITY_CONFLICTS = _define(
    "identity_conflicts",
    "What the identity rules held back or demoted, and why. `candidates` is a JSON list of profile ids; `held` is what "
    "the rule counted, `events` how many events say so; left and right are the two identifiers that would have to be "
    "linked to undo it.",
    "",
    "type value rule action source message_id at:t profile_id candidates detail "
    "left_type left_value right_type right_value held:i events:i",
)
IDENTITY_MATCHES = _define(
    "identity_matches",
    "Profiles that matching finds alike, each called by its first identifier; probability from 0 to 1. `evidence` is a "
    "JSON list of {comparison, level, weight} without values.",
    "left_type left_value right_type right_value",
    "left_type left_value right_type right_value probability:f match_weight:f evidence at:t",
)
IDENTITY_COMPARED = _define(
    "identity_compared",
    "Which profiles matching has compared with each other, with a fingerprint of what it read of them and the model.",
    "record",
    "record content model_id",
)
MATCHING_MODELS = _define(
    "matching_models",
    "What matching has learned, as JSON; kept until its settings change or everything is computed anew.",
    "model_id",
    "model_id model at:t",
)
PROFILES = _define(
    "profiles",
    "The golden record: one row per person, one typed column per trait.",
    "profile_id",
    "profile_id first_seen:t last_seen:t events:i",
    open=True,
)
PROFILE_TRAITS = _define(
    "profile_traits",
    "Provenance of every golden value: what it is, which source and event said so, when, and how many other values "
    "were in the running.",
    "profile_id trait",
    "profile_id trait value source message_id updated_at:t rule candidates:i",
)
AUDIENCE_MEMBERS = _define(
    "audience_members", "Who is in an audience now.", "audience profile_id", "audience profile_id entered_at:t"
)
AUDIENCE_CHANGES = _define(
    "audience_changes",
    "History of entering and leaving. change: entered, exited.",
    "",
    "audience profile_id change at:t run_id",
)
SYNC_LEDGER = _define(
    "sync_ledger",
    "What every destination was sent, row by row. status: delivered, pending, failed, withheld, dead. "
    "operation: add, change, remove. `delivery_id` is the idempotency key of this delivery: equal however often it is "
    "tried. `before` is what the destination has, where that is not known to be `payload`.",
    "sync key",
    "sync key profile_id row_hash payload status error attempts:i operation sent_at:t run_id delivery_id before",
)
SYNC_LOG = _define(
    "sync_log",
    "History of the ledger: every row that was delivered, refused, removed or withheld, in every run. Append-only.",
    "",
    "sync key profile_id operation status error sent_at:t run_id",
)
SYNC_RUNS = _define(
    "sync_runs",
    "What every run of a sync did. status: running, succeeded, partial (some rows were refused), interrupted, "
    "cancelled. `pending` rows are still to be sent; `mapping` is the mapping as JSON.",
    "sync run_id",
    "sync run_id destination plan_id status error started_at:t finished_at:t delivered:i removed:i failed:i pending:i "
    "unchanged:i invalid:i withheld:i mapping",
)
CONSENTS = _define(
    "consents",
    "Consent per profile and category. state: granted, denied, conflict.",
    "profile_id category",
    "profile_id category state source updated_at:t",
)
SUPPRESSIONS = _define(
    "suppressions",
    "Identifiers of people of whom nothing may be sent, as HMAC-SHA-256 under the workspace's key.",
    "identifier_hmac",
    "identifier_hmac suppression_id reason at:t",
)
SUPPRESSED_PROFILES = _define(
    "suppressed_profiles", "Profiles that a suppressed identifier belongs to.", "profile_id", "profile_id"
)
PRIVACY_REQUESTS = _define(
    "privacy_requests",
    "What people have asked for. kind: erase, suppress, unsuppress, access, rectify. status: running, waiting (for a "
    "destination), done, withdrawn. `subject` is a JSON list of the HMACs of their identifiers, `receipts` one of "
    "{sync, destination, type, state, rows, at, note, attempts}, `taken` a JSON object of rows taken out per table. "
    "received_at and due_at are days.",
    "request_id",
    "request_id kind subject status reason actor received_at:t opened_at:t due_at:t finished_at:t receipts taken",
)
AUDIT_LOG = _define(
    "audit_log",
    "Who did what, as of the last run; 'cdp privacy audit' reads the file that counts. `subject_hmac` is a JSON list "
    "of identifiers as HMAC-SHA-256 under the workspace's key, `details` a JSON object without personal data.",
    "seq",
    "seq:i at:t actor role action outcome subject_hmac details previous_hash hash mac",
)
SOURCE_STATE = _define(
    "source_state",
    "What has been loaded: one row per file of a file source, or per source for a cursor.",
    "source part",
    "source part fingerprint cursor rows:i loaded_at:t run_id",
)
SOURCE_COLUMNS = _define(
    "source_columns",
    "Columns a source has shown so far and the type each has widened to.",
    "source column",
    "source column type first_seen:t run_id",
)
SOURCE_LOADS = _define(
    "source_loads",
    "Balance of every load: rows read = events + duplicates + quarantined + suppressed (of people of "
    "whom nothing is taken in). A replay reads nothing: what passes leaves "
    "the quarantine, so that `quarantined` is negative.",
    "run_id source",
    "run_id source rows_read:i events:i duplicates:i quarantined:i suppressed:i seconds:f loaded_at:t",
)
STAGE_STATE = _define(
    "stage_state",
    "Fingerprint of what each derived stage was last computed from; equal means nothing to do.",
    "stage",
    "stage fingerprint run_id at:t",
)
RUNS = _define(
    "runs",
    "Every run. `stages` is a JSON list of {name, seconds, rows_in, rows_out, quarantined}.",
    "run_id",
    "run_id kind started_at:t finished_at:t status error stages snapshot_id:i",
)

CANONICAL: dict[str, Table] = {table.name: table for table in list(globals().values()) if isinstance(table, Table)}
