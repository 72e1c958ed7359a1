"""The chat server that the tests of the llm judge share."""

import pytest
from pytest_httpserver import HTTPServer

from tests.support.chat_server import ChatServer


@pytest.fixture
def server(_openai_http: HTTPServer) -> ChatServer:
    _openai_http.clear()
    return ChatServer(_openai_http)
