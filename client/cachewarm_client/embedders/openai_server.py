"""An OpenAI-compatible server: its key and address are checked, its client is created on first use, and each fault
becomes one line without keys.

The client itself retries after 408, 409, 429, 5xx, lost connections and timeouts, with growing and jittered waits, or
after the wait that the server asks for (``retry-after``).
"""

import base64
import importlib.util
import re
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from cachewarm_client.errors import ConfigurationError
from cachewarm_client.urls import redact_url

_KEY = re.compile(r"sk-[\w*-]{4,}")


@dataclass(frozen=True)
class Remediation:
    """What a user can do, by kind of fault; appended to what happened."""

    model_variable: str
    """The setting that names the model."""
    timeout: str = ""
    """After a timeout."""
    rate: str = ""
    """After HTTP 429."""
    failed: str = ""
    """After HTTP 408, 409 and 5xx."""
    refused: str = ""
    """After any other HTTP status."""


class OpenAIServer:
    """One model on one server. Thread-safe.

    Raises ConfigurationError without the openai package, without a key, with a key that no HTTP header can carry, and
    with an unusable base URL.
    """

    def __init__(
        self,
        model: str,
        *,
        user: str,
        key: str,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        remediation: Remediation,
    ) -> None:
        """``user``: what needs the server, for messages. ``timeout``: seconds for each attempt."""
        if importlib.util.find_spec("openai") is None:
            raise ConfigurationError(
                f'{user} needs the package openai, which is not installed: pip install "cachewarm-client[openai]"'
            )
        self._key = key.strip()
        if not self._key:
            raise ConfigurationError(f"{user} needs OPENAI_API_KEY (any text for a server without keys)")
        if not (self._key.isascii() and self._key.isprintable()):
            raise ConfigurationError("OPENAI_API_KEY contains characters that no HTTP header can carry")
        if base_url and not _is_http(base_url):
            raise ConfigurationError(
                f"OPENAI_BASE_URL {redact_url(base_url)!r} is not usable: expected http(s)://host[:port]/path"
            )
        self._base_url, self._timeout, self._max_retries = base_url, timeout, max_retries
        self._remediation = remediation
        self.name = redact_url(base_url) if base_url else "OpenAI"
        self.where = f"{self.name}, model {model!r}"
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The ``openai.OpenAI`` client."""
        with self._lock:
            if self._client is None:
                import openai

                base_url, headers = _without_user(self._base_url)
                self._client = openai.OpenAI(
                    api_key=self._key,
                    base_url=base_url,
                    timeout=self._timeout,
                    max_retries=self._max_retries,
                    default_headers=headers,
                    http_client=self._http_client(),
                )
            return self._client

    def _http_client(self) -> Any:
        """The HTTP client for ``openai.OpenAI``; None for its default."""
        return None

    def explain(self, error: Exception, request: str = "the request", role: str = "") -> str:
        """One line about an ``openai.OpenAIError``: what happened, where, and what to do. ``role`` is put before the
        server's name."""
        import openai

        where, remediation = role + self.where, self._remediation
        attempts = "1 attempt" if self._max_retries == 0 else f"up to {self._max_retries + 1} attempts"
        if isinstance(error, openai.APITimeoutError):
            return f"no answer from {where} within {self._timeout:g} s in {attempts}{remediation.timeout}"
        if isinstance(error, openai.APIConnectionError):
            return f"cannot reach {where} in {attempts}; check OPENAI_BASE_URL and the network"
        if not isinstance(error, openai.APIStatusError):
            return f"{where}{self.safe(str(error))}"
        detail, status = self.safe(_message(error.body)), error.status_code
        if status in (401, 403):
            return f"{where} refused the key (HTTP {status}); check OPENAI_API_KEY"
        if status == 404:
            return f"{where}: not found (HTTP 404){detail}; check {remediation.model_variable} and OPENAI_BASE_URL"
        if status == 429:
            return f"{where} limits the rate or the quota is used up (HTTP 429 in {attempts}){detail}{remediation.rate}"
        if status in (408, 409) or status >= 500:
            return f"{where} failed (HTTP {status} in {attempts}){detail}{remediation.failed}"
        return f"{where} refused {request} (HTTP {status}){detail}{remediation.refused}"

    def safe(self, text: str, length: int = 200) -> str:
        """``: `` and one short line of a server's text, without keys; empty for an empty text."""
        line = " ".join(text.replace(self._key, "***").split())
        return f": {_KEY.sub('***', line)[:length]}" if line else ""


def _without_user(url: str | None) -> tuple[str | None, dict[str, str]]:
    """The URL without user and password, and the header that sends them instead: the client logs the URL of each
    request."""
    parts = urlsplit(url or "")
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    name, _, password = user.partition(":")
    credentials = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {credentials}"}


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _message(body: object) -> str:
    if isinstance(body, dict):
        return str(body.get("message") or body.get("error") or "")
    return ""
