"""The canonical form of a prompt, and the stable ids and hashes made from texts."""

import hashlib
import re
import unicodedata

MAX_PROMPT_CHARS = 2000
"""A prompt is its first 2,000 characters: they are what is stored, embedded and looked up. It is the length that
applications commonly embed (``content[:2000]``)."""

MAX_AGENT_TYPE_CHARS = 200
"""An agent_type is a short name. In a source row, a longer text means that the columns of the row are shifted."""

# Only marks that end or quote a sentence. '#', '+', leading '.', brackets and signs carry meaning: C#, C++, .NET, f().
_TRAILING = ".!?,;:…\"'`“”‘’«»‚„、。؟¿¡ "
_LEADING = "\"'`“”‘’«»‚„¿¡ "
_BUT_DOTS = _TRAILING.replace(".", "") + _LEADING
_RAISED = re.compile("[⁰¹²³⁴-⁹]+")
_LOWERED = re.compile("[₀-₉]+")


def cut(text: str) -> str:
    """The part of a text that is its prompt: the first ``MAX_PROMPT_CHARS`` characters."""
    return text[:MAX_PROMPT_CHARS]


def canonical(text: str) -> str:
    """Unicode NFKC, casefolded, white space collapsed, sentence marks trimmed at both ends.

    Superscript and subscript digits stay apart from plain ones (2⁵ is 2^5, never 25). A last word "." or ".." is a path
    and stays ("cd .."). Control and invisible format characters count as white space. Idempotent. Empty when nothing is
    left.
    It keys counts and entry ids only; the stored and embedded prompt keeps its original spelling.
    """
    if not text.isascii():
        text = _LOWERED.sub(r"_\g<0>", _RAISED.sub(r"^\g<0>", text))
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Casefolding can undo NFKC (U+0345), and a second pass settles it: Unicode 3.13, definition D146.
    folded = unicodedata.normalize("NFKC", folded).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    if not folded.isascii() or not folded.isprintable():
        folded = "".join(" " if unicodedata.category(c) in ("Cc", "Cf") else c for c in folded)
    words = folded.split()
    if not "".join(words).strip(_TRAILING + _LEADING):
        return ""
    while words:
        path = words[-1].strip(_BUT_DOTS)
        words[-1] = path if path in (".", "..") else words[-1].rstrip(_TRAILING)
        if words[-1]:
            break
        words.pop()
    return " ".join(words).lstrip(_LEADING)


def sha256_hex(*parts: str) -> str:
    """SHA-256 over the parts, each preceded by its length, so that no two lists of parts collide; 64 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()


def hash_user(user_id: str) -> str:
    """16 hex digits that stand for a user; no raw id is stored.

    The users of the query log and the reporters of wrong hits are hashed alike, so one person is one user in both.
    """
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def entry_id(prompt: str, agent_type: str) -> str:
    """Id of an entry: a hash of canonical prompt and agent_type, never of a score, so re-scoring cannot duplicate."""
    return sha256_hex(canonical(cut(prompt)), agent_type)


def embedding_key(model_id: str, text: str) -> str:
    """Content address of a vector: a hash of the embedding model's id and the exact text."""
    return sha256_hex(model_id, text)
