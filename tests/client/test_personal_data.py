"""Personal data and secrets are found anywhere in a text; look-alikes in prompts about code are not.

Keys and tokens are assembled at run time, so that no file of the repository contains anything like one.
"""

import json
import string
import time
from ipaddress import IPv4Address, IPv6Address

import phonenumbers
import pytest
from cachewarm_client.personal_data import VERSION_LIKE, find_personal_data, mask
from hypothesis import assume, given, settings
from hypothesis import strategies as st

ALNUM = string.ascii_letters + string.digits
BASE64 = ALNUM + "-_"
HEX = "0123456789abcdef"
WORDS = st.lists(
    st.sampled_from(["why", "does", "this", "fail", "after", "we", "moved", "the", "job", "to", "a", "new", "host"]),
    max_size=8,
)
MARKS = st.sampled_from(
    [("", ""), ("(", ")"), ('"', '"'), ("`", "`"), ("", "."), ("", ","), ("", "?"), ("<", ">"), ("", "\n")]
)


@st.composite
def within(draw: st.DrawFn, values: st.SearchStrategy[str]) -> tuple[str, str]:
    """A random value and a sentence that contains it."""
    value, (before, after) = draw(values), draw(MARKS)
    return value, " ".join([*draw(WORDS), f"{before}{value}{after}", *draw(WORDS)])


def drawn(alphabet: str, length: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=length, max_size=length)


def luhn_digit(digits: str) -> str:
    """The check digit, computed the slow and plain way: it makes the sum of the doubled digits a multiple of ten."""
    for last in string.digits:
        total = 0
        for at, digit in enumerate(reversed(digits + last)):
            number = int(digit) * (2 if at % 2 else 1)
            total += number - 9 if number > 9 else number
        if total % 10 == 0:
            return last
    raise AssertionError(digits)


@st.composite
def cards(draw: st.DrawFn) -> str:
    prefix, length = draw(
        st.sampled_from(
            [("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("36", 14), ("62", 19)]
        )
    )
    digits = prefix + draw(drawn(string.digits, length - len(prefix) - 1))
    digits += luhn_digit(digits)
    sign = draw(st.sampled_from(["", " ", "-"]))
    groups = {14: (4, 6, 4), 15: (4, 6, 5), 16: (4, 4, 4, 4)}.get(length, (length,))
    starts = [sum(groups[:number]) for number in range(len(groups))]
    return sign.join(digits[start : start + size] for start, size in zip(starts, groups, strict=True))


@st.composite
def emails(draw: st.DrawFn) -> str:
    local = draw(st.from_regex(r"[a-z][a-z0-9]{0,10}([._+-][a-z0-9]{1,10})?", fullmatch=True))
    domain = draw(st.from_regex(r"[a-z]{3,12}(-[a-z0-9]{2,5})?(\.[a-z]{3,8})?", fullmatch=True))
    assume(local not in ("git", "hg", "svn", "noreply", "no-reply"))
    assume(domain.split(".")[0] not in ("self", "cls", "this"))
    assume(domain.split(".")[-1] not in ("example", "test", "domain", "company", "site", "foo", "bar", "foobar"))
    return f"{local}@{domain}.{draw(st.sampled_from(['com', 'org', 'io', 'de', 'co.uk', 'photography']))}"


IPV4 = (
    st.integers(1, 2**32 - 1)
    .map(IPv4Address)
    .filter(
        lambda ip: ip.is_global and not ip.is_multicast and max(ip.packed) > VERSION_LIKE and ip.packed[2:] != b"\0\0"
    )
)
IPV6 = st.integers(0x2A << 120, (0x2A << 120) + 2**120 - 1).map(IPv6Address)
PHONES = st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)).flatmap(
    lambda region: st.sampled_from(
        [
            phonenumbers.format_number(number, style)
            for number in [phonenumbers.example_number(region)]
            if number
            for style in (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        ]
    )
)
KEYS = st.one_of(
    drawn(string.ascii_uppercase + "234567", 16).map(("AK" + "IA").__add__),
    drawn(ALNUM, 47).map(("sk" + "-1").__add__),
    drawn(ALNUM, 24).map(("sk" + "_live_").__add__),
    drawn(BASE64, 34).map(lambda text: "AI" + "za" + text + "x"),
    drawn(ALNUM + "+/", 64).map(
        lambda text: f"-----BEGIN RSA PRIVATE{' '}KEY-----\n{text}\n-----END RSA PRIVATE KEY-----"
    ),
)
TOKENS = st.one_of(
    drawn(ALNUM, 36).map(("gh" + "p_").__add__),
    drawn(ALNUM, 24).map(("xox" + "b-2026-").__add__),
    drawn(BASE64, 19).map(lambda text: "gl" + "pat-" + text + "x"),
    drawn(BASE64, 30).map(lambda text: f"ey{'J'}hbGciOiJIUzI1NiJ9.ey{'J'}{text}.{text}x"),
)
ALL = {
    "card": cards(),
    "email": emails(),
    "ip": IPV4.map(str) | IPV6.map(str),
    "phone": PHONES,
    "key": KEYS,
    "token": TOKENS,
}


@pytest.mark.parametrize("kind", sorted(ALL))
def test_a_random_value_in_a_random_sentence_is_always_found_and_masked(kind: str) -> None:
    @settings(max_examples=300, deadline=None)
    @given(within(ALL[kind]))
    def check(case: tuple[str, str]) -> None:
        value, text = case
        assert find_personal_data(text) == (kind,)
        masked = mask(text)
        assert f"[{kind}]" in masked
        assert value not in masked
        assert find_personal_data(masked) == ()
        assert find_personal_data(json.dumps({"summary": f"first\n{text}"})) == (kind,)

    check()


CODE = st.one_of(
    st.tuples(*[st.integers(0, VERSION_LIKE)] * 4).map(lambda parts: ".".join(map(str, parts))),
    st.integers(0, 2**24 - 1).map(lambda number: str(IPv4Address((10 << 24) + number))),
    st.integers(0, 255).map("203.0.113.{}".format),
    st.integers(0, 255).map("127.0.0.{}".format),
    st.tuples(*[st.integers(0, 500)] * 3).map(lambda parts: "v" + ".".join(map(str, parts))),
    st.uuids().map(str),
    *(drawn(HEX, length) for length in (7, 40, 64)),
    st.integers(10**9, 2 * 10**18).map(str).filter(lambda digits: digits[0] == "1"),
    st.floats(0, 1).map(repr),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}+01:00"),
    drawn(string.ascii_lowercase, 9).map("@{}.route('/')".format),
    drawn(string.ascii_lowercase, 9).map("git@github.com:{}/repo.git".format),
    drawn(string.ascii_lowercase, 9).map("{}@example.com".format),
    drawn(string.ascii_lowercase, 9).map("{}@18.0.1".format),
    drawn(string.ascii_lowercase, 9).map("std::{}::value".format),
    drawn(string.ascii_lowercase, 9).map("api_key = os.environ['{}']".format),
)


@settings(max_examples=1000, deadline=None)
@given(within(CODE))
def test_parts_of_prompts_about_code_are_never_found_and_never_changed(case: tuple[str, str]) -> None:
    _, text = case
    assert find_personal_data(text) == ()
    assert mask(text) == text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300) | st.text("@.:/ -+()0123456789aAE=", max_size=300))
def test_a_text_is_masked_exactly_when_something_is_found(text: str) -> None:
    assert (find_personal_data(text) == ()) == (mask(text) == text)


@pytest.mark.parametrize(
    "text",
    [
        "Is 255.255.255.0 the mask for 192.168.1.1, 0.0.0.0/0 or 169.254.169.254?",
        "Chrome/120.0.0.0 and lib==52.14.3.9 and version 52.14.3.9 and 52.95.0.0",
        "OID 1.3.6.1.4.1.311 and dns 8.8.8.8",
        "2001:db8::1, fe80::1, ::1, 00:1B:44:11:3A:B7, 12:30:45",
        "getty@tty1.service, icon@2x.png, lodash@4.17.21, actions/checkout@v4.1.0, job@1.0.0-beta.rc",
        "attn = q@k.transpose(-2, -1); y = x@self.weight; z = a @ b.T",
        "john.doe@example.com, alice@example.org, first.last@corp.test, root@db.internal, me@yourdomain.com",
        "What does -----BEGIN RSA PRIVATE" + " KEY----- mean for the AuthenticationManagerBuilder?",
        "ey" + "JhbGciOi... is cut",
        "api_key=YOUR_API_KEY_12345678 secret_key='django-insecure-changeme-1234' token: <token>",
        "Authorization: Bearer ${TOKEN_FROM_ENVIRONMENT_1} or Bearer authentication",
        "const apiKey = process.env.API_KEY_FOR_2026; password = getpass.getpass(prompt1234567890)",
        "postgres://user:password@localhost:5432/app redis://:secret@redis:6379 http://bob:Xy81@example.com/",
        "sk-learn-contrib and sk_buff and task-" + "1234567890123456789012",
        "call 1234567 times, phone field ^\\+?[0-9]{7,15}$, phone 192.168.100.200, mobile 2026-11-20 1200",
        "a+1234567890, n+1 queries, UTC+01:00, 2026-11-20T10:00:00+01:00",
        "cache-key-d41d8cd98f00b204e9800998ecf8427e, AB12CDEF34567890, 4539578763621487, id_4539578763621486x",
    ],
)
def test_look_alikes_are_left_alone(text: str) -> None:
    assert (find_personal_data(text), mask(text)) == ((), text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("order 5512 4111 1111 1111 1111 12/27", "order 5512 [card] 12/27"),
        ("４１１１ １１１１ １１１１ １１１１", "[card]"),
        ("٤١١١١١١١١١١١١١١١", "[card]"),
        ("4111\u202e 1111\u200b 1111\x07 1111", "[card]"),
        ("4111‑1111‑1111‑1111", "[card]"),
        ("ada＠acme.io", "[email]"),
        ("ada.moss12@example.com, cc ada@acme.io!", "[email], cc [email]!"),
        ("[ada](mailto:ada@163.com)", "[ada](mailto:[email])"),
        ("IBAN GB82 WEST 1234 5698 7654 32.", "IBAN [iban]."),
        ("DE89370400440532013000", "[iban]"),
        ("(415) 555-2671 or 415-555-2671", "[phone] or [phone]"),
        ("call me on 0171 2345678", "call me on [phone]"),
        ("Telefon: 089/123456", "Telefon: [phone]"),
        ("phone number is 5551234567", "phone number is [phone]"),
        ("host=52.95.110.1:8080", "host=[ip]:8080"),
        ("http://52.95.110.1/a and 2a00:1450:4001:81b::200e", "http://[ip]/a and [ip]"),
        ("postgres://admin:Zx81kk@db.acme.io:5432/app", "postgres://[key]:5432/app"),
        ('{"client_secret": "' + "a81Kd0Qm33xPz91LwT" + '"}', '{"client_secret": "[key]"}'),
        ("ACCESS_TOKEN=" + "a81Kd0Qm33xPz91LwT", "ACCESS_TOKEN=[token]"),
        ('"Authorization": "Basic ' + "YWRtaW46VHIwdWI0ZG9y" + '"', '"Authorization": "Basic [token]"'),
        ("curl -H 'Authorization: Bearer " + "a81Kd0Qm33xPz91LwT" + "'", "curl -H 'Authorization: Bearer [token]'"),
        ("-----BEGIN PRIVATE" + " KEY-----\\n" + "MIIEvQIBADANBgkq" * 3, "[key]"),
    ],
)
def test_each_kind_is_masked_and_the_rest_stays(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_every_kind_is_reported_once_and_in_order() -> None:
    assert find_personal_data("ada@acme.io, eve@acme.io from 52.95.110.1, +49 30 901820") == ("email", "ip", "phone")
    assert find_personal_data("") == ()


def test_overlapping_parts_become_one_of_the_kind_searched_first() -> None:
    assert mask("call me on 4111 1111 1111 1111") == "call me on [card]"
    assert mask("api_key=" + "gh" + "p_" + "a1" * 18 + " now") == "api_key=[token] now"


@pytest.mark.parametrize(
    "unit",
    ["a", "4", "4111 ", "+1 ", "a@", "x@a.", "1.2.", "AB12 ", "api_key=", "://a:", "-----BEGIN ", "ey" + "J.", "\\n"],
)
def test_the_time_for_a_hostile_text_grows_in_proportion_to_its_length(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        started = time.process_time()
        find_personal_data(text)
        return time.process_time() - started

    # 8 times the length: 64 times the time if it were quadratic.
    assert seconds(320_000) < 24 * seconds(40_000) + 0.2
