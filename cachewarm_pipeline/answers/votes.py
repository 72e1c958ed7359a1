"""How many people got a response: the support that chooses between the answers of a query. Pure."""

from collections.abc import Iterable, Sequence

from cachewarm_pipeline.answers.response_choice import LoggedAnswer
from cachewarm_pipeline.storage.schemas import MAX_USERS

_HASHES = 16**16
"""Number of the hashes of ``hash_user``: 16 hexadecimal digits."""


def smallest_users(users: Iterable[str]) -> tuple[str, ...]:
    """The smallest MAX_USERS of the hashed ids: a sketch of the set that can be merged with others."""
    return tuple(sorted(set(users))[:MAX_USERS])


def votes(answers: Sequence[LoggedAnswer], users_known: bool) -> float:
    """The votes for these responses together: one for each user who got any of them.

    Below MAX_USERS the users are counted. From there their number is estimated from the smallest MAX_USERS hashes: k
    hashes that are spread evenly up to the share s of all possible ones stand for (k - 1) / s users. There are never
    more votes than rows. All rows without an id count as one user: nobody knows how many people they are.

    ``users_known``: whether the log has user ids at all. If not, every row is a vote.
    """
    rows = sum(answer.count for answer in answers)
    if not users_known:
        return rows
    users = smallest_users(user for answer in answers for user in answer.users)
    number = float(len(users))
    if len(users) == MAX_USERS:
        share = (int(users[-1], 16) + 1) / _HASHES
        number = max(number, (MAX_USERS - 1) / share)
    return min(rows, number + (1 if any(answer.anonymous for answer in answers) else 0))
