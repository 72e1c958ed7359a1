"""URLs in messages: a password is never shown."""

import pytest
from cachewarm_client.urls import redact_url
from hypothesis import example, given
from hypothesis import strategies as st

# Every secret begins with 'Q', which occurs nowhere else, so finding it means that a secret leaked.
SECRET = st.text(st.characters(codec="utf-8", exclude_characters="Q"), max_size=30).map(lambda t: f"Q{t}Q")
QUERY_SECRET = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="Q&'"), max_size=30).map(
    lambda text: f"Q{text}Q"
)
SCHEME = st.sampled_from(["redis", "rediss", "postgresql", "postgresql+psycopg2", "https", "s3", "unix"])


@given(SCHEME, SECRET, SECRET)
@example("redis", "Q", "Q/a@b#c?d:eQ")
@example("redis", "Q", "Qtoken=aQ")
def test_user_and_password_never_survive(scheme: str, user: str, password: str) -> None:
    for url in (f"{scheme}://{user}:{password}@host:6379/0", f"{scheme}://:{password}@host", f"{user}:{password}@host"):
        assert "Q" not in redact_url(url)


@given(
    st.sampled_from(["password", "sslpassword", "api_key", "token", "X-Amz-Signature", "access_key", "client_secret"]),
    QUERY_SECRET,
)
@example("password", "Q@Q")
def test_secret_parameters_never_survive(name: str, secret: str) -> None:
    assert "Q" not in redact_url(f"https://host/path?a=1&{name}={secret}&b=2")
    assert "Q" not in redact_url(f"host=db {name}={secret} dbname=app")


@given(st.text())
def test_any_text_can_be_redacted_and_redacting_twice_changes_nothing(text: str) -> None:
    once = redact_url(text)
    assert redact_url(once) == once


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:6379/0", "/data/some folder@home/x", "./data@x", ".cachewarm/data", "s3://bucket/folder", ""],
)
def test_a_url_without_a_secret_stays_as_it_is(url: str) -> None:
    assert redact_url(url) == url


def test_a_redacted_url_still_shows_the_server() -> None:
    assert redact_url("rediss://default:pw@eu-1.example.com:6380/2?ssl_ca_certs=ca.pem") == (
        "rediss://***@eu-1.example.com:6380/2?ssl_ca_certs=ca.pem"
    )
