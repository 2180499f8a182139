"""Who is one by links alone, by other libraries: `python links_peers.py NAME LINKS.parquet`.

Each reads the Parquet file and ends with a component for every identifier; none knows limits, times, stable ids or a
lake. Prints one JSON object: seconds, peak_mb, components.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

ENDS = ("left_type", "left_value", "right_type", "right_value")


def _named(path: Path) -> pl.DataFrame:
    sides = [pl.concat_str(f"{s}_type", f"{s}_value", separator=":").alias(s) for s in ("left", "right")]
    return pl.read_parquet(path, columns=list(ENDS)).select(sides)


def scipy(path: Path) -> int:
    """Polars' own dictionary of strings gives the numbers: the fastest factorisation in Polars that was found."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = _named(path)
    count = links.height
    texts = pl.concat([links["left"], links["right"]]).cast(pl.Categorical)
    codes = texts.to_physical().to_numpy()
    size = int(codes.max()) + 1
    graph = coo_array((np.ones(count, dtype=np.int8), (codes[:count], codes[count:])), shape=(size, size))
    return int(connected_components(graph, directed=False)[0])


def scipy_by_join(path: Path) -> int:
    """The same with numbers by unique and join."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = _named(path)
    count = links.height
    texts = pl.concat([links["left"], links["right"]]).to_frame("id")
    ids = texts.unique().with_row_index("node")
    codes = texts.join(ids, on="id", how="left", maintain_order="left")["node"].to_numpy()
    graph = coo_array((np.ones(count, dtype=np.int8), (codes[:count], codes[count:])), shape=(ids.height,) * 2)
    return int(connected_components(graph, directed=False)[0])


def networkx(path: Path) -> int:
    import networkx as nx

    graph = nx.Graph(_named(path).iter_rows())
    return sum(1 for _ in nx.connected_components(graph))


def rustworkx(path: Path) -> int:
    import rustworkx as rx

    links = _named(path)
    ids = pl.concat([links["left"], links["right"]]).unique()
    number = dict(zip(ids, range(len(ids)), strict=True))
    graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(len(ids)))
    graph.add_edges_from_no_data([(number[a], number[b]) for a, b in links.iter_rows()])
    return len(rx.connected_components(graph))


def splink(path: Path) -> int:
    import duckdb
    from splink import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    con = duckdb.connect()
    ends = "left_type || ':' || left_value AS l, right_type || ':' || right_value AS r"
    con.execute(f"CREATE TABLE edges AS SELECT DISTINCT {ends} FROM read_parquet(?)", [str(path)])
    con.execute(
        "CREATE TABLE nodes AS SELECT DISTINCT id FROM (SELECT l AS id FROM edges UNION ALL SELECT r FROM edges)"
    )
    found = cluster_pairwise_predictions_at_threshold(
        "nodes",
        "edges",
        db_api=DuckDBAPI(connection=con),
        node_id_column_name="id",
        edge_id_column_name_left="l",
        edge_id_column_name_right="r",
    )
    name = found.physical_name
    return int(con.execute(f"SELECT count(DISTINCT cluster_id) FROM {name}").fetchall()[0][0])


def ours(path: Path) -> int:
    """To user_identifiers in the lake, by rules that let a person have twenty devices."""
    import tempfile

    from cdp_core.engine import EngineSpec, open_engine
    from cdp_core.identity.from_links import resolve_links
    from cdp_core.identity.spec import IdentitySpec

    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(Path(folder), EngineSpec())
        engine.ensure_tables()
        links = engine.con.sql(f"SELECT * FROM read_parquet('{path}')")
        limits = {"user_id": 1, "email": 5, "anonymous_id": 20}
        spec = IdentitySpec.model_validate({"identifiers": {name: {"limit": n} for name, n in limits.items()}})
        found = resolve_links(engine, links, spec)
        with engine.transaction():
            engine.replace("user_identifiers", found.user_identifiers)
            engine.replace("identity_conflicts", found.identity_conflicts)
        profiles = engine.table("user_identifiers").profile_id.nunique().name("n").as_table()
        return int(engine.polars(profiles).item())


def peak_mb() -> float:
    """Linux' own mark, which starts anew with the program; what getrusage says begins at the size of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


PEERS: dict[str, Callable[[Path], int]] = {
    f.__name__: f for f in (ours, scipy, scipy_by_join, networkx, rustworkx, splink)
}

if __name__ == "__main__":
    started = time.perf_counter()
    components = PEERS[sys.argv[1]](Path(sys.argv[2]))
    seconds = time.perf_counter() - started
    peak = peak_mb()
    sys.stdout.write(
        json.dumps({"seconds": round(seconds, 1), "peak_mb": round(peak), "components": components}) + "\n"
    )
