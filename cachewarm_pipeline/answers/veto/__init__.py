"""The veto: whether two answers contradict each other, each claiming what the other excludes.

In: two texts. Out: a reason in a few words, or none. What only one of them says is no contradiction. Pure.

    contradictions          the rules, over the facts of both texts; which reasons are hard
    facts                   what a text claims: its clauses, numbers, orders and JSON values, computed once a text
    clauses                 clauses with their opposites ("on", "off") and negations
    number_facts            numbers with their units and the words around them
    order_facts             steps, sequences and moves, whose order carries meaning
    json_facts              keys and short values of JSON
    languages               whether the negations of a text's language are known
    contradiction_words     opposites of one word; contradiction_phrases: of more words
    number_words            spelled numbers and units
    language_words          negations and frequent words by language
    words_of                reads a word list
"""
