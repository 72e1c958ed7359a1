"""Whether the language of a text is one whose negations are listed (``language_words``)."""

import re
from collections import Counter

from cachewarm_pipeline.answers.veto.language_words import LANGUAGES

SHORT_TEXT_WORDS = 3
"""A text of at most this many words may have no function word: only its letters are looked at."""

KNOWN_SHARE = 0.12
"""Share of the words that are function words of one known language. Prose has 25% to 50%, a list of steps 15%."""

_OTHERS = {
    "Scandinavian": "och är inte att som på av till jag det ett og ikke af på til som er jeg det et eller "
    "for med ved den har kan du efter om vi från fra så var",
    "Finnish": "ja on ei että se hän ovat tai kun myös mutta ole joka",
    "Czech or Slovak": "je se na že není nebo pro jako jsou ale který která když sa nie je sú alebo ktorý",
    "Romanian": "și este nu pe cu sau în care sunt pentru din la mai dar",
    "Hungarian": "és nem hogy az egy van vagy meg csak ez azt ha",
    "Catalan": "i no és els les amb per que una però són aquest aquesta",
    "Indonesian": "dan yang di tidak untuk dengan ini itu dari pada adalah bisa akan anda",
    "Vietnamese": "và là không của có được cho các một trong để này với",
    "Croatian or Serbian": "je i da se nije na za ili su koji kao ali",
    "Ukrainian": "і не що та це як або але є для він вона",
    "Bulgarian": "и е не да се на за от са като или но ще",
    "Persian": "و در به از که این است را با برای نیست می آن",
    "Urdu": "اور کے میں ہے کی کا سے کو نہیں یہ",
    "Marathi or Nepali": "आहे आणि नाही हे ते छ र हो छैन को ला",
    "Swahili": "na ya wa ni kwa si hii la katika za",
    "Tagalog": "ang ng sa na at hindi mga ay ito",
    "Lithuanian or Latvian": "ir ne yra kad su tai kaip un nav ar kas par",
    "Greek in Latin letters": "kai den einai to tha na me",
}
_OTHER_WORDS = {name: frozenset(words.split()) for name, words in _OTHERS.items()}

_WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0963])+(?:['’][^\W\d_]+)*")
_CJK = re.compile("[぀-ヿ㐀-鿿가-힯]")
_KNOWN_LETTERS = re.compile("[a-zà-öø-ÿąćęłńóśźżğışœßẞ\u0307а-яё\u0600-\u06ff\u0900-\u097f぀-ヿ㐀-鿿가-힯’']+")
_FOREIGN_LETTERS = re.compile(
    "[åæøõþðёіїєґђћљњџўĳ]|[\u0679\u067e\u0686\u0688\u0691\u0698\u06a9\u06af\u06ba\u06be\u06d2]"
)
_OWN_LETTERS = frozenset("æё")  # French and Russian


def known_language(text: str) -> bool:
    """Whether the text is in a language whose negations are known. A text without letters is."""
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(text)]
    if not words:
        return True
    if not _known_letters("".join(words)):
        return False
    cjk = sum(1 for word in words if _CJK.search(word))
    spaced = [word for word in words if not _CJK.search(word)]
    if cjk * 2 >= len(words) or len(words) <= SHORT_TEXT_WORDS:
        return True
    counts = Counter(spaced)
    known = max(_hits(counts, language.stop | language.negations) for language in LANGUAGES.values())
    other = max(_hits(counts, stop) for stop in _OTHER_WORDS.values())
    return known >= KNOWN_SHARE * len(spaced) and known > other


def _known_letters(letters: str) -> bool:
    if sum(len(run) for run in _KNOWN_LETTERS.findall(letters)) < 0.95 * len(letters):
        return False
    foreign = [letter for letter in _FOREIGN_LETTERS.findall(letters) if letter not in _OWN_LETTERS]
    return len(foreign) < max(1, 0.01 * len(letters))


def _hits(counts: Counter[str], words: frozenset[str]) -> int:
    return sum(counts[word] for word in counts.keys() & words)


def mostly_names(text: str) -> bool:
    """Whether a text is a list of names and numbers, which has no words of any language: "David Smith on NCIS"."""
    words = [word for word in text.split() if word[:1].isalnum()]
    return sum(word[0].islower() for word in words) < 0.5 * len(words)
