"""Keys, tokens and passwords in a text, found by the shapes that their issuers gave them.

Personal data is found by cachewarm_client.personal_data. This is a table and not a library: measured on 42 shapes, the
maintained detectors (kingfisher, betterleaks, bc-detect-secrets) miss 15 to 24. They report only what can be used (a
key with its pair, a correct checksum), while anything that looks like a key must stay out of a cache. detect-secrets is
no longer maintained.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

CredentialKind = Literal["key", "token"]


class _Shape(NamedTuple):
    kind: CredentialKind
    mark: str
    """The beginning of every text of this shape: searched first, as plain text, which is 100 times faster."""
    pattern: re.Pattern[str]


_END = r"(?![A-Za-z0-9])"


def _shape(kind: CredentialKind, mark: str, rest: str) -> _Shape:
    """The shape of ``mark`` followed by ``rest``, not within a longer word."""
    return _Shape(kind, mark, re.compile("(?<![A-Za-z0-9])" + re.escape(mark) + rest + _END))


_SHAPES = (
    # Clouds
    _shape("key", "AKIA", "[A-Z0-9]{16}"),
    _shape("key", "ASIA", "[A-Z0-9]{16}"),
    _shape("key", "AIza", r"[\w-]{35}"),
    _shape("key", "GOCSPX-", r"[\w-]{28}"),
    _shape("key", "AccountKey=", "[A-Za-z0-9+/]{40,90}={0,2}"),
    _shape("key", "dop_v1_", "[a-f0-9]{64}"),
    _shape("token", "ya29.", r"[\w-]{20,}"),
    # Models
    # sk-learn and the like are packages.
    _shape(
        "key", "sk-", r"(?:(?:proj|svcacct|admin|or-v1|ant-[a-z]+\d\d)-[\w-]{20,}|(?=[a-zA-Z]{0,40}\d)[A-Za-z0-9]{20,})"
    ),
    _shape("key", "gsk_", "[A-Za-z0-9]{40,}"),
    _shape("key", "xai-", "[A-Za-z0-9]{60,}"),
    _shape("key", "pplx-", "[A-Za-z0-9]{40,}"),
    _shape("token", "hf_", "[A-Za-z0-9]{30,}"),
    _shape("token", "r8_", r"[\w-]{37}"),
    # Code and packages
    *(_shape("token", f"gh{letter}_", "[A-Za-z0-9]{36,}") for letter in "pousr"),
    _shape("token", "github_pat_", r"\w{40,}"),
    *(_shape("token", mark, r"[\w-]{20,}") for mark in ("glpat-", "gldt-", "glrt-", "GR1348941")),
    _shape("token", "npm_", "[A-Za-z0-9]{36}"),
    _shape("token", "pypi-AgE", r"[\w-]{40,}"),
    _shape("token", "dckr_pat_", r"[\w-]{20,}"),
    _shape("token", "ATATT3", r"[\w=-]{60,}"),
    _shape("token", "lin_api_", "[A-Za-z0-9]{32,}"),
    # Chat and mail
    *(_shape("token", f"xox{letter}-", r"[A-Za-z0-9-]{20,}") for letter in "abeoprs"),
    _shape("token", "xapp-", r"\d-[A-Za-z0-9-]{20,}"),
    _shape("token", "hooks.slack.com/services/T", r"\w+/B\w+/\w{10,}"),
    _Shape("token", ":AA", re.compile(r"(?<=[0-9]{8}):AA[\w-]{33}" + _END)),
    _shape("key", "SG.", r"[\w-]{22}\.[\w-]{43}"),
    _shape("key", "SK", "[a-f0-9]{32}"),
    # Payments and services
    *(_shape("key", f"{owner}k_{mode}_", "[A-Za-z0-9]{16,}") for owner in "sr" for mode in ("live", "test")),
    _shape("key", "whsec_", "[A-Za-z0-9+/=]{24,}"),
    *(_shape("token", f"shp{letter}t_", "[a-fA-F0-9]{32}") for letter in "ac"),
    *(
        _shape("token", mark, r"[\w-]{30,}")
        for mark in ("sq0atp-", "sq0csp-", "glsa_", "sntrys_", "figd_", "pscale_tkn_")
    ),
    *(_shape("token", mark, "[a-f0-9]{32,40}") for mark in ("dapi", "sbp_")),
    *(_shape("key", mark, "[A-Z0-9-]{24,}") for mark in ("NRAK-", "PMAK-", "HRKU-")),
    _shape("token", "hvs.", r"[\w-]{24,}"),
    _shape("key", "AGE-SECRET-KEY-1", "[A-Z0-9]{58}"),
    # Standards. A JWT begins with base64 of '{"'; a header without a payload is not one.
    _shape("token", "eyJ", r"[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}"),
    # Only with its content (lines of base64): a header alone is a question about the format.
    _Shape(
        "key",
        "-----BEGIN ",
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[\s\S]){0,200}?[A-Za-z0-9+/]{32}"
            r"(?:[\s\S]*?-----END [A-Z0-9 ]{0,40}-----|[\s\S]*)"
        ),
    ),
)

# A value is searched first, then a name before it: the other way round takes 10 times as long on code.
_VALUE = re.compile(r"[:=]>?\s{0,2}[\"'`]?([A-Za-z0-9+/_~-]{16,}={0,2})(?![\w.(\[])")
_NAME_BEFORE = re.compile(
    r"(?i)(?:(?P<token>(?:auth|access|api|bot|refresh|session|oauth)[_ -]?token)"
    r"|(?:api|secret|access|private|auth|account|subscription|encryption|signing|master)[_ -]?key"
    r"|(?:client|app|webhook|shared)[_ -]?secret|passw(?:or)?d)[\"'`\]]{0,2}\s{0,2}:?$"
)
_HEADER = re.compile(
    r"(?:[Bb]earer|BEARER|(?i:(?<=authorization..)(?:basic|token)|(?<=authorization....)(?:basic|token)))"
    r"\s{1,3}([A-Za-z0-9._~+/-]{16,}=*)"
)
_IN_URL = re.compile(r"://(?P<user>[^\s:/@\"'<>]{0,80}):(?P<password>[^\s/@\"'<>]{3,120})@(?P<host>[\w.-]{1,200})")
RESERVED_HOST = re.compile(
    r"(?i)(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost|local|internal|lan|127\.0\.0\.1|0\.0\.0\.0"
    r"|(?:(?:your|my|some)-?)?(?:domain|company|site)\.(?:com|net|org)|(?:foo|bar|foobar)\.com)$"
)
"""Hosts of RFC 2606 and RFC 6762, names inside networks (nothing can be sent there from outside), and the hosts that
manuals use."""
_PLACEHOLDER = re.compile(
    r"(?i)your|example|placeholder|change.?me|dummy|sample|insert|replace|redacted|todo|xxx|\*\*\*|\.\.\.|<|\{|%s|\$[a-z_]"
    r"|^(?:my|the|super)?[_-]?(?:secret|strong)?[_-]?"
    r"(?:pass(?:word|wd)?|pwd|pw|secret|test|admin|root|user|postgres|mysql|guest|redis|foo|bar|token)?\d{0,4}$"
)

MIN_ENTROPY = 3.0
"""Bits per character from which the value of an assignment counts as random. 99% of random 16 hex digits have more;
`aaaabbbbccccdddd`, counters and words joined by signs mostly have less."""


def credentials(text: str) -> Iterator[tuple[int, int, CredentialKind]]:
    """Keys, tokens and passwords in a text: (start, end, kind), in no order, possibly overlapping.

    ``key``: cloud, model and payment keys, private keys, passwords in URLs, and random-looking values of names like
    ``api_key`` or ``client_secret``. ``token``: JWT, Bearer and Basic headers, GitHub, GitLab, Slack and others.
    Placeholders (``YOUR_API_KEY``, ``user:password@localhost``) and expressions (``os.environ[...]``) do not count.
    """
    for kind, mark, pattern in _SHAPES:
        at = text.find(mark)
        while at >= 0:
            match = pattern.match(text, at)
            if match:
                yield *match.span(), kind
            at = text.find(mark, match.end() if match else at + 1)
    for match in _HEADER.finditer(text):
        if _looks_random(match[1]):
            yield *match.span(1), "token"
    for match in _VALUE.finditer(text):
        name = _NAME_BEFORE.search(text, max(0, match.start() - 30), match.start())
        if name and _looks_random(match[1]):
            yield *match.span(1), "token" if name["token"] else "key"
    if "://" in text and "@" in text:
        for match in _IN_URL.finditer(text):
            if not _is_example(match["user"], match["password"], match["host"]):
                yield match.start("user"), match.end("password"), "key"


def _looks_random(value: str) -> bool:
    if sum(map(str.isdigit, value)) < 2 or not any(map(str.isalpha, value)) or _PLACEHOLDER.search(value):
        return False
    shares = [number / len(value) for number in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares) >= MIN_ENTROPY


def _is_example(user: str, password: str, host: str) -> bool:
    return user == password or bool(RESERVED_HOST.search(host) or _PLACEHOLDER.search(password))
