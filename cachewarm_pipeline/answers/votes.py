"""How many people got a response: the support that chooses between the answers of a query. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.response_choice import LoggedAnswer
from cachewarm_pipeline.storage.schemas import MAX_USERS

_HASHES = 16**16
"""Number of the hashes of ``hash_user``: 16 hexadecimal digits."""


def smallest_users(users: Iterable[str]) -> tuple[str, ...]:
    """The smallest MAX_USERS of the hashed ids: a sketch of the set that can be merged with others."""
    return tuple(sorted(set(users))[:MAX_USERS])


def votes(answers: Sequence[LoggedAnswer], users_known: bool) -> NDArray[np.float64]:
    """The votes for each response to one query (n,): each user has one, shared by the responses that they got.

    Below MAX_USERS the users of a response are counted. From there their number is estimated from the smallest
    MAX_USERS hashes: k hashes that are spread evenly up to the share s of all possible ones stand for (k - 1) / s
    users. A response never has more votes than rows. All rows without an id count as one user: nobody knows how many
    people they are.

    ``users_known``: whether the log has user ids at all. If not, every row is a vote.
    """
    if not users_known:
        return np.array([answer.count for answer in answers], np.float64)
    got = Counter(user for answer in answers for user in answer.users)
    without_id = sum(answer.anonymous > 0 for answer in answers)
    found = []
    for answer in answers:
        share = sum(1 / got[user] for user in answer.users) / max(len(answer.users), 1)
        own = share * _number_of(answer.users) + (1 / without_id if answer.anonymous else 0)
        found.append(min(float(answer.count), own))
    return np.array(found)


def _number_of(users: Sequence[str]) -> float:
    """The estimated number of distinct users behind their smallest hashes."""
    if len(users) < MAX_USERS:
        return len(users)
    share = (int(users[-1], 16) + 1) / _HASHES
    return max(len(users), (len(users) - 1) / share)
