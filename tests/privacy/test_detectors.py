"""Detectors: real-shaped values pass, their neighbours do not, and one changed digit breaks a number that checks
itself."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_core.privacy import checks
from cdp_core.privacy.birthdays import looks_born
from cdp_core.privacy.detectors import accident, detectors, is_address, is_email, is_ip, is_mac, is_phone, is_secret
from cdp_core.privacy.judge import Surroundings, judge, part_of_address
from cdp_core.privacy.mentions import mentions

AROUND = Surroundings(region="US", today=date(2026, 11, 28))
# The issuers' and the authorities' own published examples.
GOOD: dict[str, tuple[Callable[[str], bool], tuple[str, ...]]] = {
    "card": (checks.is_card, (
        "4111111111111111", "4012 8888 8888 1881", "5555-5555-5555-4444", "2223003122003222", "378282246310005",
        "6011111111111117", "30569309025904", "3530111333300000", "6759649826438453",
    )),
    "iban": (checks.is_iban, (
        "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "FR1420041010050500013M02606", "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S", "nl91abna0417164300",
    )),
    "ssn": (checks.is_ssn, ("078-05-1120", "219-09-9999")),
    "nino": (checks.is_nino, ("AB123456C", "JG 10 37 59 A", "ab123456c")),
    "steuer_id": (checks.is_steuer_id, ("86095742719", "47036892816", "65929970489", "57549285017")),
    "nir": (checks.is_nir, ("255081416802538", "1 85 05 78 006 084 91")),
    "dni": (checks.is_dni, ("12345678Z", "54362315-K", "X2482300W", "Y1234567X", "Z1234567R")),
    "codice_fiscale": (checks.is_codice_fiscale, ("RSSMRA85T10A562S", "MRTMTT91D08F205J", "mrt mtt 91d08 f205j")),
    "bsn": (checks.is_bsn, ("111222333", "123456782", "010464554")),
    "personnummer": (checks.is_personnummer, ("811228-9874", "670919-9530", "701063-2391", "198112289874")),
}  # fmt: skip
BAD: dict[str, tuple[str, ...]] = {
    "card": ("4111111111111112", "0000000000000000", "1234567890123452", "411111111111", "order 4111111111111111"),
    "iban": ("DE89370400440532013001", "XX89370400440532013000", "DE8937040044053201300", "GB29"),
    "ssn": ("000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "123456789", "123-456-7890"),
    "nino": ("BG123456A", "DA123456A", "AB12345C", "AB123456E", "SKU123456A"),
    "steuer_id": ("86095742718", "08609574271", "11111111111", "12345678903", "1234567890"),
    "nir": ("255081416802539", "355081416802538", "255131416802538", "25508141680253"),
    "dni": ("12345678A", "1234567Z", "X1234567A", "A1234567L"),
    "codice_fiscale": ("RSSMRA85T10A562T", "RSSMRA85Z10A562S", "RSSMRA85T10A562"),
    "bsn": ("111222334", "000000000", "12345678", "1112223333"),
    "personnummer": ("811228-9875", "811328-9874", "810230-9876", "8112289"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_numbers(kind: str) -> None:
    is_one, values = GOOD[kind]
    assert [value for value in values if not is_one(value)] == []
    assert [value for value in BAD[kind] if is_one(value)] == []


@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind not in ("ssn", "nino")])
@settings(max_examples=60, deadline=None)
@given(draw=st.randoms(use_true_random=False))
def test_one_changed_digit_is_refused(kind: str, draw: random.Random) -> None:
    is_one, values = GOOD[kind]
    value = draw.choice(values[:2])
    place = draw.choice([i for i, sign in enumerate(value) if sign.isdigit()])
    other = draw.choice([digit for digit in string.digits if digit != value[place]])
    assert not is_one(value[:place] + other + value[place + 1 :])


@settings(max_examples=120, deadline=None)
@given(text=st.text(max_size=40) | st.from_regex(r"[0-9A-Z .+@:()/-]{0,30}", fullmatch=True))
def test_no_text_breaks_a_detector(text: str) -> None:
    assert all(each.matches(text) in (True, False) for each in detectors("DE"))
    judge("properties.x", [text], AROUND)


def test_values_with_a_shape() -> None:
    assert all(map(is_email, ("ann@example.org", "Ann.O'Neil+x@mail.example.co.uk", "ann@bücher.example")))
    assert not any(map(is_email, ("ann", "@ann", "ann@localhost", "a@b@c.org", "mail ann@example.org", "ann@.org", "")))
    assert all(map(is_ip, ("192.0.2.1", "2001:db8::8a2e:370:7334", "10.0.0.0/8", "::ffff:192.0.2.1")))
    assert not any(map(is_ip, ("1.2.3", "256.1.1.1", "12:30:45", "1.2.3.4.5", "::", "08:30")))
    assert is_mac("00-1b-44-11-3a-b7")
    assert not is_mac("00-1b:44-11-3a-b7")
    assert not is_mac("12:30:45")
    assert is_secret("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln")
    assert not is_secret("eyJhbGciOiJIUzI1NiJ9")


def test_phones_are_of_their_country() -> None:
    written = ("(212) 555-0147", "212-555-0147", "+1 212 555 0147", "2125550147", "001 212 555 0147")
    assert all(is_phone(text, "US") for text in written)
    assert is_phone("0151 23456789", "DE")
    assert is_phone("+49 30 901820", "US")
    other = ("1998-07-01", "01.07.1998", "192.0.2.174", "198.51.100.195", "49.95", "o0052778", "000-000-0000", "12345")
    assert not any(is_phone(text, region) for text in other for region in ("US", "DE", "GB"))
    bare = (("15112345678", "DE"), ("2079460018", "GB"))
    assert not any(is_phone(*one) for one in bare), "bare digits are an id outside of North America"


def test_addresses() -> None:
    written = (
        "1923 Fountain Ln", "221B Baker Street, London NW1 6XE", "12 Rue de la Paix", "rue de Rivoli 10, Paris",
        "Lange Straße 12 a", "Hauptstr. 5", "Via Roma 14", "Calle Mayor 3", "Keizersgracht 174", "PO Box 1234",
    )  # fmt: skip
    assert [text for text in written if not is_address(text)] == []
    assert not any(
        map(is_address, ("Product Viewed", "monthly", "3 for 2", "Rock", "2 Fast 2 Furious", "/way/12", "10 years"))
    )


def test_birthdays_are_told_by_their_spread() -> None:
    draw = random.Random(4)
    born = [(date(1950, 1, 1) + timedelta(days=draw.randrange(20_000))).isoformat() for _ in range(200)]
    orders = [(date(2024, 1, 1) + timedelta(days=draw.randrange(1000))).isoformat() for _ in range(200)]
    times = [f"{day}T{draw.randrange(1, 24):02}:15:00Z" for day in born]
    releases = [f"{year}-01-01" for year in range(1955, 2025)]
    assert looks_born(born, AROUND.today) > 0.99
    assert looks_born([f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in born], AROUND.today) > 0.99
    assert [looks_born(days, AROUND.today) for days in (orders, times, releases, born[:5], [])] == [0, 0, 0, 0, 0]


def test_accidents_are_no_finds() -> None:
    """Random numbers of a fitting shape pass a check digit now and then; a field of them is not called personal."""
    draw = random.Random(5)
    sixteen = ["4" + "".join(draw.choices(string.digits, k=15)) for _ in range(1000)]
    nine = ["".join(draw.choices(string.digits, k=9)) for _ in range(1000)]
    eleven = [str(draw.randrange(10**10, 10**11)) for _ in range(1000)]
    ten = [str(draw.randrange(10**9, 10**10)) for _ in range(1000)]
    assert any(map(checks.is_card, sixteen))
    assert any(map(checks.is_bsn, nine))
    assert any(map(checks.is_steuer_id, eleven))
    for values in (sixteen, nine, eleven, ten):
        assert judge("properties.order_number", values, AROUND) == []
    mixed = [value for value in sixteen if checks.is_card(value)] + nine[:100]
    assert [found.kind for found in judge("properties.reference", mixed, AROUND)] == ["card"]
    assert not accident(1, 1, 0.09)
    assert accident(3, 3, 0.09)


def test_names_are_known_from_the_fields_that_are_called_so() -> None:
    around = Surroundings(region="US", today=AROUND.today, people=frozenset({"ann", "lee", "ben", "stone", "eva"}))
    people = ["Ann Lee", "Ben Stone", "Eva Lee", "Lee, Ann", "Eva Novak", "Ann", "Ben Lee"]
    assert [found.kind for found in judge("properties.contact", people, around)] == ["name"]
    assert judge("properties.genre", ["Rock", "Jazz", "Pop", "Folk", "Stone", "Soul"], around) == []
    assert judge("properties.contact", people, AROUND) == []


def test_texts_that_mention_somebody() -> None:
    notes = ["all fine"] * 98 + ["please write to ann@example.org", "call 212-555-0147, card 4111 1111 1111 1111"]
    found = judge("properties.note", notes, AROUND)
    assert [(each.kind, each.class_, each.why) for each in found] == [
        ("text:card", "red", "1 % of the texts mention a card number"),
        ("text:email", "yellow", "1 % of the texts mention an e-mail address"),
    ]
    assert [m.kind for m in mentions(["/reset?email=ann%40example.org", "/home"], "US")] == ["email"]
    assert [m.kind for m in mentions(["ring me: 212-555-0147", "tel. (212) 555-0199"], "US")] == ["phone"]
    assert mentions(["order 2125550147123 of 1998-07-01", "v1.2.3 at 10:20"], "US") == []


def test_a_name_alone_is_believed_unless_the_values_are_flags() -> None:
    assert [(f.kind, f.by) for f in judge("traits.email", ["x1", "x2"], AROUND)] == [("email", "name")]
    assert judge("context.consent.categoryPreferences.email", ["true", "false"], AROUND) == []
    assert [f.class_ for f in judge("properties.password", ["hunter2"], AROUND)] == ["red"]


def test_a_state_is_part_of_an_address_only_beside_one() -> None:
    assert part_of_address("traits.state", ["city", "postcode", "state"]) is not None
    assert part_of_address("properties.state", ["state", "city", "total"]) is None
    assert part_of_address("traits.plan", ["city", "postcode", "plan"]) is None
