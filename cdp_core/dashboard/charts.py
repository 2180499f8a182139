"""Charts that several pages share. Colours come from the theme; dates and numbers are formatted for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

LABEL = "#7a7a86"
"""Numbers beside bars: four to one against both backgrounds. The theme colours axes and legends, but no text marks."""


def stacked_months(
    frame: pl.DataFrame, *, time: str, group: str, value: str, unit: str, height: int = 230, narrow: bool = False
) -> alt.Chart:
    """Bars a month, stacked by group, with a tooltip that names the month."""
    import altair as alt

    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(f"yearmonth({time}):T", title=None, axis=alt.Axis(format="%b %y", labelAngle=0, grid=False)),
            y=alt.Y(f"{value}:Q", title=None, axis=alt.Axis(format="~s", tickCount=4 if not narrow else 2)),
            color=alt.Color(
                f"{group}:N",
                title=None,
                legend=alt.Legend(orient="top", direction="horizontal", columns=3),
            ),
            tooltip=[
                alt.Tooltip(f"yearmonth({time}):T", title="Month", format="%B %Y"),
                alt.Tooltip(f"{group}:N", title=group.capitalize()),
                alt.Tooltip(f"{value}:Q", title=unit, format=",d"),
            ],
        )
        .properties(height=height)
    )


def stacked_days(frame: pl.DataFrame, *, height: int = 200) -> alt.Chart:
    """Bars a day, stacked by outcome. Columns: day, outcome, rows, order (place in the stack)."""
    import altair as alt

    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("yearmonthdate(day):O", title=None, axis=alt.Axis(format="%d %b", labelAngle=0, labelOverlap=True)),
            y=alt.Y("rows:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            color=alt.Color("outcome:N", title=None, legend=alt.Legend(orient="top", direction="horizontal")),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("yearmonthdate(day):T", title="Day (UTC)", format="%d %b %Y"),
                alt.Tooltip("outcome:N", title="Outcome"),
                alt.Tooltip("rows:Q", title="Rows", format=",d"),
            ],
        )
        .properties(height=height)
    )


def bars(
    frame: pl.DataFrame, *, name: str, value: str, unit: str, sort: Any = None, height: int = 200
) -> alt.LayerChart:
    """Horizontal bars with the number at their end."""
    import altair as alt

    base = alt.Chart(frame).encode(
        y=alt.Y(f"{name}:N", title=None, sort=sort, axis=alt.Axis(labelLimit=180)),
        x=alt.X(f"{value}:Q", title=None, axis=None),
        tooltip=[alt.Tooltip(f"{name}:N", title=name.capitalize()), alt.Tooltip(f"{value}:Q", title=unit, format=",d")],
    )
    text = base.mark_text(align="left", dx=4, color=LABEL).encode(text=alt.Text(f"{value}:Q", format=",d"))
    return (base.mark_bar(cornerRadiusEnd=3, size=14) + text).properties(height=height)


def columns(
    frame: pl.DataFrame, *, name: str, value: str, unit: str, height: int = 200, log: bool = False
) -> alt.LayerChart:
    """Vertical bars in the given order, with the number on top; `log` for sizes that differ by magnitudes."""
    import altair as alt

    scale = alt.Scale(type="symlog") if log else alt.Undefined
    base = alt.Chart(frame).encode(
        x=alt.X(f"{name}:N", title=None, sort=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y(f"{value}:Q", title=None, axis=None, scale=scale),
        tooltip=[alt.Tooltip(f"{name}:N", title=name.capitalize()), alt.Tooltip(f"{value}:Q", title=unit, format=",d")],
    )
    text = base.mark_text(dy=-7, color=LABEL).encode(text=alt.Text(f"{value}:Q", format=",d"))
    return (base.mark_bar(cornerRadiusEnd=3) + text).properties(height=height)


def steps(frame: pl.DataFrame, *, time: str, value: str, unit: str, height: int = 200) -> alt.LayerChart:
    """A size over time, changing at points in time."""
    import altair as alt

    base = alt.Chart(frame).encode(
        x=alt.X(f"{time}:T", title=None, axis=alt.Axis(format="%d %b %y", labelAngle=0, grid=False)),
        y=alt.Y(f"{value}:Q", title=None, axis=alt.Axis(format="~s", tickCount=4), scale=alt.Scale(zero=True)),
        tooltip=[
            alt.Tooltip(f"{time}:T", title="When (UTC)", format="%d %b %Y %H:%M"),
            alt.Tooltip(f"{value}:Q", title=unit, format=",d"),
        ],
    )
    return (base.mark_line(interpolate="step-after") + base.mark_point(filled=True, size=40)).properties(height=height)


def days_in_band(frame: pl.DataFrame, *, share: bool, height: int = 300) -> alt.LayerChart:
    """A value by day over the band of what is usual, days out of it marked.

    Columns: day, value, low, high and usual (null: not judged), anomaly, seen, range and compared (texts of the
    tooltip). `share`: values are shares of one.
    """
    import altair as alt

    axis = alt.Axis(format="~%" if share else "~s", tickCount=5)
    base = alt.Chart(frame).encode(
        x=alt.X("day:T", title=None, axis=alt.Axis(format="%d %b", labelAngle=0, grid=False, tickCount=8))
    )
    texts = [alt.Tooltip("day:T", title="Day (UTC)", format="%a %d %b %Y")]
    texts += [
        alt.Tooltip(f"{name}:N", title=title)
        for name, title in (("seen", "Seen"), ("range", "Usual"), ("compared", "Compared with"))
    ]
    band = base.transform_filter("isValid(datum.high)").mark_area(opacity=0.22, color=LABEL)
    usual = base.transform_filter("isValid(datum.usual)").mark_line(strokeDash=[3, 3], strokeWidth=1, color=LABEL)
    seen = base.encode(y="value:Q", tooltip=texts)
    odd = seen.transform_filter("datum.anomaly").mark_point(filled=True, opacity=1, size=110, color=CHOSEN)
    return alt.layer(
        band.encode(y=alt.Y("low:Q", title=None, axis=axis), y2="high:Q"),
        usual.encode(y="usual:Q"),
        seen.mark_line(strokeWidth=2),
        seen.mark_point(filled=True, opacity=1, size=28),
        odd,
    ).properties(height=height)


CHOSEN = "#e5484d"
"""A chosen link: three to one against both backgrounds, and of no category's colour."""


def network(
    frame: pl.DataFrame, *, chosen: int | None = None, height: int = 360, labels: bool = True
) -> alt.LayerChart:
    """Identifiers as circles, links as lines that can be clicked: the selection `link` has the clicked one's number.

    The frame is that of `views.evidence.picture`, one for all layers: Streamlit does not draw layers of two frames.
    `chosen` is a link that is marked from the start.
    """
    import altair as alt

    start = alt.Undefined if chosen is None else [{"link": chosen}]
    picked = alt.selection_point(name="link", fields=["link"], toggle=False, empty=False, value=start)
    marked = {"color": alt.condition(picked, alt.value(CHOSEN), alt.value(LABEL))}
    across, down = alt.Scale(domain=[-0.09, 1.09], nice=False), alt.Scale(domain=[-0.14, 1.14], nice=False)
    base = alt.Chart(frame).encode(x=alt.X("x:Q", axis=None, scale=across), y=alt.Y("y:Q", axis=None, scale=down))
    ties = base.transform_filter("datum.what == 'link'").encode(tooltip=_of_link())
    lines = ties.encode(x2="x2:Q", y2="y2:Q")
    drawn = lines.mark_rule(strokeCap="round", opacity=0.75).encode(
        **marked, strokeWidth=alt.condition(picked, alt.value(5), alt.value(2))
    )
    # A line two pixels wide is hard to hit: this one lies over it, unseen.
    hit = lines.mark_rule(strokeWidth=18, opacity=0, cursor="pointer").add_params(picked)
    handles = ties.mark_point(filled=True, shape="square", opacity=1, cursor="pointer").encode(
        x=alt.X("mid_x:Q", axis=None, scale=across),
        y=alt.Y("mid_y:Q", axis=None, scale=down),
        **marked,
        size=alt.condition(picked, alt.value(150), alt.value(55)),
    )
    circles, *texts = _nodes(
        base.transform_filter("datum.what == 'node'"), frame["type"].drop_nulls().unique().sort().to_list()
    )
    # What can be clicked lies over the labels.
    return alt.layer(drawn, *(texts if labels else []), hit, handles, circles).properties(height=height)


def _of_link() -> list[alt.Tooltip]:
    import altair as alt

    texts = [alt.Tooltip(f"{name}:N", title=name.capitalize()) for name in ("between", "and", "source")]
    times = [
        alt.Tooltip(f"{name}:T", title=title, format="%d %b %Y")
        for name, title in (("first_seen", "First seen (UTC)"), ("last_seen", "Last seen (UTC)"))
    ]
    return [*texts, alt.Tooltip("events:Q", title="Events", format=",d"), *times]


def _nodes(base: alt.Chart, kinds: list[str]) -> list[alt.Chart]:
    """Circles, and their labels above or below."""
    import altair as alt

    legend = alt.Legend(orient="top", direction="horizontal", columns=4, symbolType="circle")
    circles = base.mark_circle(opacity=1).encode(
        color=alt.Color("type:N", title=None, scale=alt.Scale(domain=kinds), legend=legend),
        size=alt.Size("events:Q", scale=alt.Scale(type="sqrt", range=[170, 620]), legend=None),
        tooltip=[
            alt.Tooltip("type:N", title="Identifier"),
            alt.Tooltip("value:N", title="Value"),
            alt.Tooltip("events:Q", title="Events", format=",d"),
        ],
    )
    texts = [
        base.transform_filter(where).mark_text(dy=dy, color=LABEL, fontSize=12, limit=150).encode(text="value:N")
        for where, dy in (("datum.above", -19), ("!datum.above", 21))
    ]
    return [circles, *texts]


def sankey(nodes: dict[str, str], links: list[tuple[str, str, int]]) -> dict[str, Any]:
    """An ECharts option: rows flowing from left to right. `nodes` maps a name to its colour."""
    return {
        "tooltip": {"trigger": "item", "valueFormatter": "%,d rows"},
        "series": [
            {
                "type": "sankey",
                "left": 8,
                "right": 130,
                "top": 8,
                "bottom": 8,
                "nodeGap": 12,
                "nodeWidth": 12,
                "draggable": False,
                "emphasis": {"focus": "adjacency"},
                "lineStyle": {"color": "gradient", "opacity": 0.28},
                "label": {"fontSize": 12},
                "data": [{"name": name, "itemStyle": {"color": colour}} for name, colour in nodes.items()],
                "links": [{"source": a, "target": b, "value": n} for a, b, n in links if n],
            }
        ],
    }


def ways(nodes: dict[str, str], ties: list[tuple[str, str, bool]]) -> dict[str, Any]:
    """An ECharts option: where something leads, from left to right. `nodes` maps a name to its colour; a tie that does
    not carry the thing itself is grey.
    """
    lines = {True: {"color": "gradient", "opacity": 0.26}, False: {"color": LABEL, "opacity": 0.16}}
    return {
        "tooltip": {"trigger": "item", "formatter": "{b}"},
        "series": [
            {
                "type": "sankey",
                "left": 8,
                "right": 140,
                "top": 8,
                "bottom": 8,
                "nodeGap": 18,
                "nodeWidth": 12,
                "nodeAlign": "left",
                "draggable": False,
                "emphasis": {"focus": "adjacency"},
                "label": {"fontSize": 12, "width": 130, "overflow": "truncate", "color": LABEL},
                "labelLayout": {"hideOverlap": True},
                "data": [{"name": name, "itemStyle": {"color": colour}} for name, colour in nodes.items()],
                "links": [{"source": a, "target": b, "value": 1, "lineStyle": lines[full]} for a, b, full in ties],
            }
        ],
    }


def waterfall(frame: pl.DataFrame, *, unit: str) -> alt.Chart:
    """Bars from `start` to `end`, one `step` under the other; green where `weight` speaks for it, red where against."""
    import altair as alt

    return (
        alt.Chart(frame)
        .mark_bar(cornerRadius=2, size=14)
        .encode(
            y=alt.Y("step:N", title=None, sort=None, axis=alt.Axis(labelLimit=320, labelOverlap=False)),
            x=alt.X("start:Q", title=unit),
            x2="end:Q",
            color=alt.condition("datum.weight >= 0", alt.value("#2f9e7d"), alt.value("#c9514c")),
            tooltip=[alt.Tooltip("step:N", title="Step"), alt.Tooltip("weight:Q", title=unit, format="+.1f")],
        )
        .properties(height=26 * frame.height + 50)
    )


STATES = {"Granted": "#2f9e7d", "Denied": "#c9514c", "In conflict": "#d9902f", "Not said": "#a3a3ad"}
"""Colours of what is said of consent, told apart by lightness too."""


def shares(frame: pl.DataFrame, *, name: str, part: str, share: str, count: str, height: int = 200) -> alt.Chart:
    """A bar per name, whole, parted by state. `frame` has the columns named, and order (place in the bar)."""
    import altair as alt

    return (
        alt.Chart(frame)
        .mark_bar(size=22)
        .encode(
            y=alt.Y(f"{name}:N", title=None, axis=alt.Axis(labelLimit=160)),
            x=alt.X(
                f"{share}:Q",
                title=None,
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="~%", tickCount=4),
            ),
            color=alt.Color(
                f"{part}:N",
                title=None,
                scale=alt.Scale(domain=list(STATES), range=list(STATES.values())),
                legend=alt.Legend(orient="top", direction="horizontal", columns=2),
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip(f"{name}:N", title=name.capitalize()),
                alt.Tooltip(f"{part}:N", title=part.capitalize()),
                alt.Tooltip(f"{count}:Q", title=count.capitalize(), format=",d"),
                alt.Tooltip(f"{share}:Q", title="Share", format=".1%"),
            ],
        )
        .properties(height=height)
    )


def weeks(frame: pl.DataFrame, *, group: str, value: str, height: int = 230) -> alt.LayerChart:
    """A line per group over weeks; a point tells what was said that week (granted, denied)."""
    import altair as alt

    base = alt.Chart(frame).encode(
        x=alt.X("week:T", title=None, axis=alt.Axis(format="%d %b %y", labelAngle=0, grid=False, tickCount=5)),
        y=alt.Y(f"{value}:Q", title=None, axis=alt.Axis(format="~s", tickCount=4), scale=alt.Scale(zero=False)),
        color=alt.Color(f"{group}:N", title=None, legend=alt.Legend(orient="top", direction="horizontal", columns=3)),
        tooltip=[
            alt.Tooltip("week:T", title="Week from (UTC)", format="%d %b %Y"),
            alt.Tooltip(f"{group}:N", title=group.capitalize()),
            alt.Tooltip(f"{value}:Q", title="Profiles that consent", format=",d"),
            alt.Tooltip("granted:Q", title="Granted that week", format=",d"),
            alt.Tooltip("denied:Q", title="Denied that week", format=",d"),
        ],
    )
    return (base.mark_line(strokeWidth=2) + base.mark_point(filled=True, opacity=1, size=30)).properties(height=height)
