"""Labelled texts and their vectors, for benchmarks/match_rules.py and benchmarks/quality.py.

Two public sets, a hard one, and questions drawn from templates. You bring the files; they are only read. Of texts with
the same canonical form only the first is kept, so that no query is evidence for itself.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cachewarm_client.embedders.minilm import MiniLMEmbedder
from cachewarm_client.text import canonical, cut
from numpy.typing import NDArray


@dataclass(frozen=True)
class Texts:
    """The texts of a set; the arrays have one value for each text."""

    texts: list[str]
    groups: NDArray[np.int64]
    """Number of the text's answer."""
    kinds: NDArray[np.int64]
    """StackFAQ: 0 question of the thread, 1 annotator a, 2 annotator b. security: 1 has an accepted answer. Else 0."""


def load(name: str, folder: Path) -> Texts:
    """Loads banking, stackfaq, security or templates.

    Raises:
        SystemExit: The name is unknown or a file is missing; the message is one line.
    """
    if name not in LOADERS:
        raise SystemExit(f"unknown set {name!r}: one of {', '.join(LOADERS)}")
    try:
        rows = list(LOADERS[name](folder))
    except FileNotFoundError as error:
        raise SystemExit(f"{error}: name the folder of the labelled files with --data") from None
    # The security titles and bodies are paired by position. The templates have no duplicates.
    rows = rows if name in ("security", "templates") else list(_without_duplicates(rows))
    number = {label: n for n, label in enumerate(sorted({label for _, label, _ in rows}))}
    return Texts(
        [cut(text) for text, _, _ in rows],
        np.array([number[label] for _, label, _ in rows]),
        np.array([kind for _, _, kind in rows]),
    )


def embed(name: str, texts: Sequence[str], cache: Path) -> NDArray[np.float32]:
    """Unit vectors of shape (n, 384) by the embedded model, stored in ``cache`` under a hash of model and texts."""
    embedder = MiniLMEmbedder()
    key = hashlib.sha256(json.dumps([embedder.info.id, *texts]).encode()).hexdigest()[:12]
    file = cache / f"{name}_{key}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, embedder.embed(texts))
    return np.asarray(np.load(file), np.float32)


LabelledText = tuple[str, str, int]
"""Text, label of its answer, kind."""


def _without_duplicates(rows: Sequence[LabelledText]) -> Iterator[LabelledText]:
    seen: set[str] = set()
    for row in rows:
        key = canonical(cut(row[0]))
        if key and key not in seen:
            seen.add(key)
            yield row


def _banking(folder: Path) -> Iterator[LabelledText]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "banking77.parquet", columns=["query", "intent"])
    for query, intent in zip(table["query"].to_pylist(), table["intent"].to_pylist(), strict=True):
        yield query, str(intent), 0


def _json_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _stackfaq(folder: Path) -> Iterator[LabelledText]:
    for row in _json_lines(folder / "stackfaq.jsonl"):
        wordings = [row["question"]], row["paraphrases_annotator_a"], row["paraphrases_annotator_b"]
        for kind, texts in enumerate(wordings):
            yield from ((text, str(row["thread_id"]), kind) for text in texts)


def _security(folder: Path) -> Iterator[LabelledText]:
    for row in _json_lines(folder / "se_secrets_qa.jsonl"):
        accepted = int(bool(row["accepted_answer"]))
        yield row["title"], str(row["question_id"]), accepted
        yield row["body"], str(row["question_id"]), accepted


ACTS = {
    "create": ["create", "add", "set up", "make", "configure a new"],
    "remove": ["remove", "delete", "get rid of", "drop", "clean up"],
    "rename": ["rename", "change the name of", "give another name to"],
    "enable": ["enable", "turn on", "switch on", "activate"],
    "disable": ["disable", "turn off", "switch off", "deactivate"],
    "test": ["test", "write tests for", "unit test", "check with a test"],
    "debug": ["debug", "find out what is wrong with", "troubleshoot", "investigate a failing"],
    "speed": ["speed up", "make faster", "optimise", "improve the performance of"],
    "secure": ["secure", "protect", "harden", "lock down"],
    "list": ["list", "show", "display", "see every"],
}
OBJECTS = {
    "cache": ["the cache", "response caching", "our cache layer"],
    "logging": ["logging", "the log output", "log messages"],
    "auth": ["user authentication", "the login", "sign-in"],
    "ratelimit": ["the rate limiter", "request throttling", "rate limiting"],
    "webhook": ["a webhook", "webhook delivery", "the webhook endpoint"],
    "index": ["a database index", "an index on a table", "the table index"],
    "migration": ["a schema migration", "the database migration", "migration scripts"],
    "worker": ["a background worker", "the job queue worker", "background jobs"],
    "retry": ["automatic retries", "the retry logic", "retrying failed calls"],
    "token": ["an API token", "access tokens", "the API key"],
    "linter": ["the linter", "lint rules", "code linting"],
    "pipeline": ["the build pipeline", "the CI pipeline", "continuous integration"],
    "flag": ["a feature flag", "feature toggles", "the feature switch"],
    "alert": ["an alert", "alerting", "the alert rule"],
    "session": ["user sessions", "the session store", "session handling"],
    "upload": ["file uploads", "the upload form", "uploading of files"],
}
CONTEXTS = [
    "Python 3.8",
    "Python 3.12",
    "Python 2.7",
    "Postgres 14",
    "Postgres 17",
    "Django",
    "Flask",
    "Rails 6",
    "Rails 7",
    "Java 8",
    "Java 21",
    "Go",
    "Rust",
    "Node 18",
    "Node 22",
    "TypeScript",
    "Kubernetes",
    "Docker",
    "C#",
    "C++",
    "",
]
FRAMES = [
    "How do I {x}?",
    "How can I {x}",
    "What is the best way to {x}?",
    "I want to {x}, how?",
    "Please help me {x}",
    "Is it possible to {x}?",
    "steps to {x}",
    "{X}",
    "Can you tell me how to {x}?",
    "I need to {x}. What do I do?",
    "Could someone explain how one should {x}?",
    "What do I have to do to {x}?",
    "trying to {x} but not sure how",
]
MOVES = [
    "migrate from {a} to {b}",
    "move from {a} over to {b}",
    "convert {a} into {b}",
    "replace {a} by {b}",
    "switch our {a} setup to {b}",
]
LIMITS = [
    "5 MB",
    "10 MB",
    "100 MB",
    "3 retries",
    "5 retries",
    "10 retries",
    "30 seconds",
    "60 seconds",
    "90 days",
    "30 days",
]
TOOLS = [
    "MySQL",
    "Postgres",
    "SQLite",
    "MongoDB",
    "Redis",
    "Jenkins",
    "GitHub Actions",
    "GitLab CI",
    "unittest",
    "pytest",
]
WHYS = ["Why should I {n}{a} {o}?", "When should one {n}{a} {o}?", "Reasons to {n}{a} {o}", "Is it wise to {n}{a} {o}?"]

Answer = tuple[str, str, str, str]
"""Kind of a template, its two slots, and a context or ""."""


def _templates(folder: Path, answers: int = 320, mean_wordings: int = 18) -> Iterator[LabelledText]:
    """Questions to a code-review assistant in clusters that differ in one slot: the case that a cache gets wrong."""
    rng = random.Random(0)
    chosen: list[Answer] = []
    acts, objects = list(ACTS), list(OBJECTS)
    pool: list[Answer] = [("act", a, o, c) for a in acts for o in objects for c in CONTEXTS]
    while len(chosen) < answers * 0.75:
        _, a, o, c = rng.choice(pool)
        chosen.append(("act", a, o, c))
        for _ in range(rng.randint(0, 3)):
            slot = rng.randint(0, 2)
            act = rng.choice(acts) if slot == 0 else a
            thing = rng.choice(objects) if slot == 1 else o
            chosen.append(("act", act, thing, rng.choice(CONTEXTS) if slot == 2 else c))
    for _ in range(int(answers * 0.06)):
        left, right = rng.sample(TOOLS, 2)
        chosen += [("move", left, right, ""), ("move", right, left, "")]
    for _ in range(int(answers * 0.07)):
        o = rng.choice(objects)
        chosen += [("limit", o, rng.choice(LIMITS), ""), ("limit", o, rng.choice(LIMITS), "")]
    for _ in range(int(answers * 0.05)):
        a, o = rng.choice(acts), rng.choice(objects)
        chosen += [("why", a, o, ""), ("whynot", a, o, "")]
    distinct = sorted(set(chosen))
    rng.shuffle(distinct)
    seen: set[str] = set()
    for answer in distinct:
        for _ in range(max(4, int(rng.expovariate(1 / mean_wordings)) + 4)):
            text = _wording(answer, rng)
            if text.casefold() not in seen:
                seen.add(text.casefold())
                yield text, "|".join(answer), 0


def _wording(answer: Answer, rng: random.Random) -> str:
    kind, a, b, context = answer
    if kind in ("why", "whynot"):
        act, thing = rng.choice(ACTS[a]), rng.choice(OBJECTS[b])
        text = rng.choice(WHYS).format(n="not " if kind == "whynot" else "", a=act, o=thing)
        if kind == "whynot" and rng.random() < 0.3:
            text = f"Why shouldn't I {act} {thing}?"
        return rng.choice(["", "", "Hi, ", "Quick question: "]) + text
    if kind == "act":
        asked = f"{rng.choice(ACTS[a])} {rng.choice(OBJECTS[b])}"
        if context:
            asked += rng.choice([" in {c}", " with {c}", " when using {c}", " ({c})"]).format(c=context)
    elif kind == "move":
        asked = rng.choice(MOVES).format(a=a, b=b)
    else:
        # Unused forms draw a wording too: otherwise the drawn set would differ from the one that was measured.
        forms = ("limit {o} to {b}", "set {b} as the maximum for {o}", "cap {o} at {b}", "allow at most {b} for {o}")
        asked = rng.choice([form.format(o=rng.choice(OBJECTS[a]), b=b) for form in forms])
    text = rng.choice(FRAMES).format(x=asked, X=asked[0].upper() + asked[1:])
    return rng.choice(["", "", "", "Hi, ", "Hello team, ", "Quick question: "]) + text


LOADERS = {"banking": _banking, "stackfaq": _stackfaq, "security": _security, "templates": _templates}
