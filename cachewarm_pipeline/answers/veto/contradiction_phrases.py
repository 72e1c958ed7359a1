"""Opposites of more than one word: "turn it off", "at most", "per user"."""

import re

_PHRASES: tuple[tuple[str, str, int], ...] = (
    (
        "on/off",
        r"\b(?:turn|switch|toggl|flip)(?:s|ed|ing|e|ped|ping)? on\b(?! (?:mon|tues|wednes|thurs|fri|satur|sun)day)",
        0,
    ),
    ("on/off", r"\b(?:turn|switch|toggl|flip|shut)(?:s|ed|ing|e|ped|ping)? off\b", 1),
    (
        "on/off",
        r"\b(?:turn|switch|toggl|flip|keep|leav|set|put|slid|mov)(?:s|ed|ing|e|es|ped"
        r"|ping)? (?:[^\s.,;:!?]+ ){1,6}?on\b"
        r"(?=\W{0,5}$| ?[.,;:!?)\n]| (?:again|in|by|for|from|under|via"
        r"|using|and|or|if|when|before|after|at|with|while)\b)",
        0,
    ),
    (
        "on/off",
        r"\b(?:turn|switch|toggl|flip|keep|leav|set|put|slid|mov)(?:s|ed|ing|e|es|ped"
        r"|ping)? (?:[^\s.,;:!?]+ ){1,6}?off\b",
        1,
    ),
    (
        "on/off",
        r"\b(?:to|is|are|be|stays?|remains?|comes?|=) [\"'`“]?on\b(?=[\"'`”]?(?:\W{0,5}$|[.,;:!?)\n]| by default"
        r"| for (?:all|every)))",
        0,
    ),
    ("on/off", r"\b(?:to|is|are|be|stays?|remains?|comes?|=) [\"'`“]?off\b(?! the\b)", 1),
    ("on/off", r"\ballum(?:er|ez|é)\b|\bschalten sie [^.,;:!?]{1,60} ein\b|\bzet [^.,;:!?]{1,60} aan\b", 0),
    ("on/off", r"\béteign\w*|\béteint\b|\bschalten sie [^.,;:!?]{1,60} aus\b|\bzet [^.,;:!?]{1,60} uit\b", 1),
    (
        "up/down",
        r"\b(?:scale|scroll|swipe|go|goes|going|went|move|moves|turn|turns|turned|volume|page|arrow) up\b|\bup arrow\b",
        0,
    ),
    (
        "up/down",
        r"\b(?:scale|scroll|swipe|go|goes|going|went|move|moves|turn|turns|turned|volume|page|arrow) down\b"
        r"|\bdown arrow\b",
        1,
    ),
    (
        "left/right",
        r"\bleft[- ](?:side|corner|hand|click|arrow|button|panel|sidebar|menu|lane|column|edge|pane|of)\w*"
        r"|\bleft-?most\b"
        r"|\b(?:turn|swipe|keep|go|scroll|top|upper|bottom|lower|drive|drives|align)[- ]left\b"
        r"|\b(?:to|on|from) the left\b"
        r"|\blinks\b|\bizquierd\w*|\bà gauche\b|\bsinistra\b|\besquerd\w*|\bслева\b|\bвлево\b|\bналево\b",
        0,
    ),
    (
        "left/right",
        r"\bright[- ](?:side|corner|hand|click|arrow|button|panel|sidebar|menu|lane|column|edge|pane|of)\w*"
        r"|\bright-?most\b"
        r"|\b(?:turn|swipe|keep|go|scroll|top|upper|bottom|lower|drive|drives|align)[- ]right\b"
        r"|\b(?:to|on|from) the right\b|\brechts\b|\bderecha\b|\bà droite\b|\bdestra\b|\bdireita\b|\bсправа\b"
        r"|\bнаправо\b",
        1,
    ),
    (
        "at least/at most",
        r"\bat least\b|\bat minimum\b|\bmindestens\b|\bau moins\b|\bal menos\b|\balmeno\b|\bminstens\b|\bне менее\b",
        0,
    ),
    (
        "at least/at most",
        r"\bat most\b|\bup to\b|\bhöchstens\b|\bau plus\b|\bcomo máximo\b|\bal massimo\b|\bhoogstens\b|\bне более\b",
        1,
    ),
    (
        "more/less than",
        r"\b(?:greater|more|larger|longer|higher|bigger|older|over) than\b|\bmehr als\b|\bplus de\b|\bmás de\b",
        0,
    ),
    (
        "more/less than",
        r"\b(?:less|fewer|smaller|shorter|lower|younger) than\b|\bweniger als\b|\bmoins de\b|\bmenos de\b",
        1,
    ),
    ("billed for", r"\b(?:per|for each|for every|for one|an?) (?:user|seat|member|person|head)\b", 0),
    ("billed for", r"\b(?:per|for each|for every|for one|an?) (?:team|workspace|group|department)\b", 1),
    ("billed for", r"\b(?:per|for each|for every|for one) (?:organi[sz]ation|company|account|tenant)\b", 2),
    ("period", r"\b(?:per|an|every|each) hour\b", 0),
    ("period", r"\b(?:per|a|every|each) day\b|\bpro tag\b|\bpar jour\b|\bal día\b", 1),
    ("period", r"\b(?:per|a|every|each) week\b|\bpro woche\b|\bpar semaine\b", 2),
    ("period", r"\b(?:per|a|every|each) month\b|\bpro monat\b|\bpar mois\b|\bal mes\b|\bal mese\b|\bpor mês\b", 3),
    ("period", r"\b(?:per|a|every|each) quarter\b", 4),
    ("period", r"\b(?:per|a|every|each) year\b|\bpro jahr\b|\bpar an\b|\bal año\b|\ball'anno\b|\bpor ano\b", 5),
    ("period", r"\b(?:per|a|every|each) minute\b", 6),
    ("period", r"\b(?:per|a|every|each) second\b", 7),
    ("time zone", r"\butc\b|\bgmt\b|\buniversal time\b", 0),
    ("time zone", r"\blocal time\w*|\b(?:your|server's|user's|own) time ?zone\b|\btheir time ?zone\b", 1),
    ("percent/points", r"\bpercentage points?\b|\bprozentpunkte?\b|\bbasis points?\b", 1),
    ("percent/points", r"\d ?%|\bpercent\b|\bprozent\b", 0),
)
"""Poles of more than one word: the axis, an expression over the casefolded text, and the pole."""

POLE_PHRASES = tuple((axis, re.compile(expression), pole) for axis, expression, pole in _PHRASES)

_PHRASE_WORDS = {
    "on/off": "on off ein aus aan uit allumer allumez allumé éteint éteindre éteignez",
    "up/down": "up down",
    "left/right": "left right left-hand right-hand left-click right-click top-left top-right upper-left upper-right "
    "bottom-left bottom-right lower-left lower-right leftmost rightmost links rechts gauche droite izquierda izquierdo "
    "derecha derecho sinistra destra esquerda esquerdo direita слева влево налево справа направо",
    "at least/at most": "least most minimum up mindestens höchstens moins plus menos máximo almeno massimo minstens "
    "hoogstens менее более",
    "more/less than": "than als de",
    "billed for": "user seat member person head team workspace group department organization organisation company "
    "account tenant",
    "period": "second minute hour day week month quarter year tag woche monat jahr jour semaine mois an día mes "
    "año mese all'anno mês ano",
    "time zone": "utc gmt universal local time timezone zone",
    "percent/points": "percent % prozent points point prozentpunkte prozentpunkt",
}
PHRASE_WORDS = {axis: frozenset(words.split()) for axis, words in _PHRASE_WORDS.items()}
"""For each axis, words of which each of its phrases has one: looking for these first is far cheaper."""
