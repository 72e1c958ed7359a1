"""What warming nets: savings, days to payback and break-even harm, as expected from the replay and as measured.

In: the stored plan, replay, log counts, usage ledger and WARMING_IMPACT. Out: the NET_RETURN rows.

- `net_return_service` reads `return_inputs`; `return_parts` derives each agent type's figures from the replay and the
  lift; `returns` computes the returns from them, with the arithmetic of `estimates`.
- `net_return` stores both returns, and `net_return_text` puts them in words.
"""
