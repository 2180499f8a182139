"""The class of a field's name: Segment's terms are found however they are written, and their neighbours are not."""

from __future__ import annotations

import pytest

from cdp_core.privacy.names import RED, YELLOW, class_of_name, term_of_name, term_of_place

SEGMENTS_RED = (
    "SSN", "password", "visa", "veteran", "disability", "credit card", "passport", "token", "creditCardNumber",
    "card_number", "user_password", "accessToken", "push_token", "customer_ssn", "socialSecurityNumber", "IBAN",
    "passport_no", "taxId", "passwords",
)  # fmt: skip
SEGMENTS_YELLOW = (
    "race", "birthdate", "birthday", "phone", "address", "gender", "ethnicity", "citizenship", "name", "street",
    "city", "zipcode", "email", "certificate", "license", "identification", "serial", "ip", "photo", "salary",
    "religion", "mac", "sex", "sexual orientation", "medication", "allergy", "condition", "diagnosis", "procedure",
    "first_name", "lastName", "lastname", "customerName", "requester_phone", "phoneNumber", "billing_email_address",
    "emailAddress", "shippingAddressLine1", "address_2", "home_phone", "userIP", "ip_address", "zip_code", "postcode",
    "postalCode", "birthDate", "date_of_birth", "email_sha256", "emails", "addres", "emailaddress", "photo_url",
)  # fmt: skip
NOTHING = (
    "product_name", "event_name", "event", "plan", "plan_name", "status", "state", "campaign_name", "store_name",
    "file_name", "company_name", "category", "capacity", "velocity", "trace", "trace_id", "order_id", "total", "price",
    "currency", "quantity", "email_verified", "has_email", "email_opt_in", "phone_type", "card_type", "visa_type",
    "token_count", "password_reset_at", "is_guest", "country", "locale", "timezone", "path", "title", "url", "referrer",
    "user_agent", "version", "device_type", "topic", "satisfaction", "genre", "newsletter_frequency", "created_at",
    "user_id", "anonymous_id", "message_id", "tax_rate", "mobile_app", "stored_procedure", "placement", "conditional",
    "web_address", "game", "statement", "subscription", "session_id", "", "___", "日本",
)  # fmt: skip


@pytest.mark.parametrize("name", SEGMENTS_RED)
def test_red(name: str) -> None:
    assert class_of_name(name) == "red"


@pytest.mark.parametrize("name", SEGMENTS_YELLOW)
def test_yellow(name: str) -> None:
    assert class_of_name(name) == "yellow"


@pytest.mark.parametrize("name", NOTHING)
def test_no_false_alarm(name: str) -> None:
    assert class_of_name(name) is None, term_of_name(name)


def test_every_term_is_found_as_it_stands() -> None:
    assert {term: class_of_name(term) for term in RED + YELLOW} == {
        **dict.fromkeys(YELLOW, "yellow"),
        **dict.fromkeys(RED, "red"),
    }
    assert not set(RED) & set(YELLOW)


def test_what_stands_around_a_name_says_whose_it_is() -> None:
    personal = ("traits.name", "context.traits.name", "properties.owner.name", "properties.customers.name")
    others = (
        "context.campaign.name",
        "context.app.name",
        "context.os.name",
        "properties.products.name",
        "properties.name",
    )
    assert all(term_of_place(place) == "name" for place in personal)
    assert not any(map(term_of_place, others))
    assert term_of_place("properties.shipping.address") == "address"
    assert term_of_place("context.page.address") is None
    assert term_of_place("context.device.token") == "serial", "no secret: messages are sent to it"
