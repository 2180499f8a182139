"""The files of a world: contents, determinism, the real orders, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from demo_files import contacts, subscribers, tickets, truth, web_lines
from polars.testing import assert_frame_equal

from cdp_core.demo_world import WorldSummary, write_world
from cdp_core.demo_world.orders import draw_orders, history, read_cdnow
from cdp_core.errors import UsageError

REPOSITORY = Path(__file__).parents[2]


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def readable(data: Path, name: str) -> pl.DataFrame | bytes:
    """A file's content apart from its compression, which may differ between versions of the libraries."""
    path = data / name
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    if path.suffix == ".db":
        return tickets(data)
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_same_seed_same_bytes_other_seed_other_people(world: WorldSummary, tmp_path: Path) -> None:
    again = write_world(tmp_path / "again", people=2_000, seed=3)
    assert digest(again.out) == digest(world.out)
    write_world(tmp_path / "other", people=2_000, seed=4)
    same = {name for name, value in digest(tmp_path / "other").items() if digest(world.out)[name] == value}
    assert not [name for name in same if name.startswith("data/")]


def test_the_repository_s_data_is_this_world(tmp_path: Path) -> None:
    write_world(tmp_path)
    fresh, stored = tmp_path / "data", REPOSITORY / "data"
    names = [path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file()]
    kept = [path.relative_to(stored).as_posix() for path in (stored / "sources").rglob("*") if path.is_file()]
    assert set(kept) == {name for name in names if name.startswith("sources/")}
    for name in names:
        a, b = readable(fresh, name), readable(stored, name)
        if isinstance(a, pl.DataFrame) and isinstance(b, pl.DataFrame):
            assert_frame_equal(a, b)
        else:
            assert a == b, name
    assert sum((stored / name).stat().st_size for name in names) < 12_000_000


def test_the_repository_s_orders_are_the_real_ones() -> None:
    orders = pl.read_parquet(REPOSITORY / "data" / "sources" / "shop_orders.parquet")
    assert orders.height == 69_659
    assert orders["customer_id"].n_unique() == 23_570
    assert orders["dollars"].sum() == pytest.approx(2_500_315.63)
    second = orders.filter(customer_id="00002").sort("ordered_on")
    assert second["dollars"].to_list() == [12.0, 77.0]  # both of one day, in the order of the original
    assert second["ordered_on"].dt.date().n_unique() == 1
    assert orders["ordered_on"].is_sorted()
    assert orders["order_id"].is_unique().all()


def test_real_orders_can_be_read_from_the_original(tmp_path: Path) -> None:
    original = tmp_path / "CDNOW_master.txt"
    original.write_text(" customer date cds dollars\n 00001 19970101  1   11.77\n 00004 19970118  2   33.66\n")
    assert read_cdnow(original).rows() == [(0, 9862, 1, 11.77), (1, 9879, 2, 33.66)]
    summary = write_world(tmp_path / "out", real_orders=original)
    assert summary.rows["shop_orders.parquet"] == 2
    (tmp_path / "wrong.txt").write_text("a b\n1 2\n")
    with pytest.raises(UsageError, match="this is not CDNOW_master"):
        read_cdnow(tmp_path / "wrong.txt")
    with pytest.raises(UsageError, match="cannot be read"):
        read_cdnow(tmp_path / "missing.txt")


def test_drawn_histories_are_real_ones_moved_by_a_week_at_most() -> None:
    real = history(None)
    drawn = draw_orders(real, 500, 1)
    known = {
        tuple(row)
        for row in real.group_by("customer", maintain_order=True).agg("dollars").select("dollars").to_series().to_list()
    }
    dollars = drawn.dollars.to_list()
    spans = [tuple(dollars[a : a + n]) for a, n in zip(drawn.first, drawn.count, strict=True)]
    assert len(spans) == 500
    assert set(spans) <= known
    assert ((drawn.seconds // 86_400 >= 9_862) & (drawn.seconds // 86_400 <= 10_407)).all()


def test_everything_happens_in_the_eighteen_months(data: Path) -> None:
    times = [contacts(data)["created_at"], contacts(data)["updated_at"], subscribers(data)["changed_at"]]
    times += [tickets(data)["opened_at"], tickets(data)["updated_at"]]
    for series in times:
        assert series.null_count() == 0
        assert series.is_between(pl.lit("1997-01-01 00:00:00"), pl.lit("1998-06-30 23:59:59")).all(), series.name


def test_leading_zeros_survive(data: Path) -> None:
    orders = pl.read_parquet(data / "sources" / "shop_orders.parquet")
    ids = contacts(data)["customer_id"].drop_nulls()
    assert ids.str.len_chars().unique().to_list() == [5]
    assert ids.is_in(orders["customer_id"].implode()).all()


def test_rows_are_what_the_summary_says(world: WorldSummary, data: Path) -> None:
    sources = data / "sources"
    assert world.rows == {
        "shop_orders.parquet": pl.read_parquet(sources / "shop_orders.parquet").height,
        "crm_contacts.csv.gz": contacts(data).height,
        "web_events": len(web_lines(data)),
        "support.db": tickets(data).height,
        "newsletter.csv": subscribers(data).height,
        "truth.csv": truth(data).height,
    }
    assert world.events == sum(world.rows.values()) - world.rows["truth.csv"]
    assert 9 <= world.events / world.people <= 11


def test_a_world_of_one_person_is_a_world(tmp_path: Path) -> None:
    summary = write_world(tmp_path / "one", people=1, seed=5)
    assert summary.people == 1
    assert (tmp_path / "one" / "cdp.yaml").is_file()


def test_refuses_what_it_would_overwrite(world: WorldSummary, tmp_path: Path) -> None:
    before = digest(world.out)
    with pytest.raises(UsageError, match="has data already"):
        write_world(world.out, people=10)
    assert digest(world.out) == before
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("keep me")
    with pytest.raises(UsageError, match="no workspace"):
        write_world(tmp_path / "letters", people=10)
    assert digest(tmp_path / "letters").keys() == {"a.txt"}
    with pytest.raises(UsageError, match="a file stands"):
        write_world(tmp_path / "letters" / "a.txt", people=10)
    with pytest.raises(UsageError, match="give 1 or more"):
        write_world(tmp_path / "none", people=0)
    assert not (tmp_path / "none").exists()


def test_fills_a_workspace_that_lacks_data_and_keeps_its_definitions(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text("name: mine\n")
    write_world(tmp_path, people=10)
    assert (tmp_path / "cdp.yaml").read_text() == "name: mine\n"
    assert (tmp_path / "data" / "truth.csv").is_file()


def test_progress_names_every_file(tmp_path: Path) -> None:
    lines: list[str] = []
    summary = write_world(tmp_path / "out", people=10, progress=lines.append)
    assert [line.split(":")[0] for line in lines] == list(summary.rows)


@pytest.mark.parametrize("people", [2, 3, 7, 40])
def test_small_worlds_are_whole(people: int, tmp_path: Path) -> None:
    summary = write_world(tmp_path / "small", people=people, seed=people)
    assert truth(tmp_path / "small" / "data").filter(source="shop_orders").height == people
    assert summary.rows["crm_contacts.csv.gz"] >= people // 2


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from cdp_core.demo_world import write_world\n"
        "from cdp_core.errors import CDPError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: write_world(Path(sys.argv[1]), people=2_000)\n"
        "except CDPError as error: print(error); sys.exit(error.exit_code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "the world could not be written" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert not done.stderr
