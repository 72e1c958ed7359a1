"""Function words, negations and answers of yes and no, by language.

``languages`` recognises a known language by its function words; ``clauses`` finds negated clauses. A language is known
only if its negations are listed here.
"""

from dataclasses import dataclass

from cachewarm_pipeline.answers.veto.words_of import word_list, word_set


@dataclass(frozen=True, slots=True)
class LanguageWords:
    """The words of one language; all are casefolded."""

    stop: frozenset[str]
    """Frequent words without a meaning of their own."""
    negations: frozenset[str]
    """Words that negate their clause."""
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()


def _words(stop: str, negations: str, yes: str = "", no: str = "") -> LanguageWords:
    return LanguageWords(*(frozenset(words.split()) for words in (stop, negations, yes, no)))


LANGUAGES = {
    "en": _words(
        "a an the is are was were be been being do does did done has have had having i i'm we we're you you're "
        "he she "
        "it it's its they them their this that that's these those there here my our your me us his her of for at and "
        "or but so as by in on to from into with if then than when while which who whom what where how please kindly "
        "just really also too very can could would should will may might must shall let lets such only any some each "
        "every all both other able possible allowed permitted about up out over under again still even well now once "
        "yes sure simply always ever get got want need needs needed within",
        "not no never without cannot none nor neither cant dont doesnt isnt wont didnt couldnt wasnt arent havent "
        "hasnt shouldnt wouldnt nobody nothing nowhere impossible unable forbidden prohibited disallowed hardly",
        "yes yeah yep correct true certainly absolutely",
        "no nope false incorrect",
    ),
    "de": _words(
        "der die das den dem des ein eine einen einem einer eines und oder aber ist sind war waren sein wird werden "
        "wurde hat haben kann können muss müssen soll sollte sie er es ich wir ihr ihre ihren ihrem du man mit "
        "von vom "
        "zu zum zur für auf in im an am bei nach aus über unter durch als wie wenn dass sich auch nur noch dann hier "
        "bitte dieser diese dieses immer",
        "nicht kein keine keinen keinem keiner keines nie niemals ohne weder nichts unmöglich verboten",
        "ja",
        "nein",
    ),
    "fr": _words(
        "le la les l un une des du de d et ou mais est sont était être a ont avoir peut peuvent vous nous il "
        "elle ils "
        "elles on je tu ce cette ces cet se s son sa ses votre vos notre que qui qu dans en sur sous pour par "
        "avec au "
        "aux ne n y plus si comme où c'est toujours",
        "pas jamais aucun aucune sans ni rien impossible interdit interdite",
        "oui",
        "non",
    ),
    "es": _words(
        "el la los las un una unos unas de del y o pero es son era ser está están ha han haber puede pueden usted se "
        "su sus lo le les que en con por para al como más si cuando este esta estos estas eso hay muy también "
        "siempre "
        "tu tus debe",
        "no nunca jamás sin ningún ninguna ninguno nada tampoco imposible prohibido",
        "sí si",
        "no",
    ),
    "it": _words(
        "il lo la i gli le un uno una di del della dei delle dello e ed o ma è sono era essere ha hanno avere può "
        "possono si su sul sulla che in nel nella con per da dal dalla al alla ai come più se quando questo questa "
        "questi anche sempre suo sua ci deve",
        "non mai senza nessun nessuno nessuna niente impossibile vietato",
        "sì",
        "no",
    ),
    "pt": _words(
        "o a os as um uma uns umas de do da dos das e ou mas é são era ser está estão tem têm ter pode podem você se "
        "seu sua seus suas que em no na nos nas com por para ao à como mais quando este esta isso muito também "
        "sempre "
        "deve pelo pela",
        "não nunca jamais sem nenhum nenhuma nem impossível proibido",
        "sim",
        "não",
    ),
    "nl": _words(
        "de het een en of maar is zijn was waren wordt worden heeft hebben kan kunnen moet moeten u je jij hij "
        "zij ze "
        "we wij ik van voor op in aan bij naar uit over onder door met als dan dat die dit deze er ook nog om te tot "
        "uw altijd",
        "niet geen nooit zonder niets niemand onmogelijk verboden",
        "ja",
        "nee",
    ),
    "ru": _words(
        "и в во на с со к ко по из за от до для о об что как это этот эта эти он она они мы вы я ты его её их "
        "ваш или "
        "но а если то при бы же ли быть был была было есть может можно нужно также только уже все всё всегда который "
        "у",
        "не нет никогда без нельзя ни невозможно небезопасно запрещено",
        "да",
        "нет",
    ),
    "pl": _words(
        "i w we na z ze do od po za dla o że jak to ten ta te on ona oni my ja ty jego jej ich lub albo ale "
        "jeśli przy "
        "jest są był była było być może można należy także tylko już wszystkie się który która przez zawsze a",
        "nie nigdy bez żaden żadna żadnych niemożliwe zabronione",
        "tak",
        "nie",
    ),
    "tr": _words(
        "ve veya ile bir bu şu o için de da ki mi mı gibi daha çok en ise ama olarak olan her ben sen biz siz onlar "
        "var kadar ya hem tüm sonra önce olur edilir üzere göre",
        "değil yok asla imkansız yasak",
        "evet",
        "hayır",
    ),
    "hi": _words(
        "का की के को में से पर और या है हैं था थी थे हो होता होती यह वह ये वे इस उस एक कि जो तो भी ही कर "
        "करें सकते सकता आप अपने "
        "लिए साथ ने हम",
        "नहीं मत न ना बिना असंभव",
        "हाँ हां",
        "नहीं",
    ),
    "ar": _words(
        "في من على إلى عن مع هذا هذه ذلك التي الذي هو هي أن إن أو و ثم كل بعد قبل كان كانت يكون يمكن يمكنك "
        "عند حتى قد ما "
        "كما بين إذا",
        "لا ليس ليست لم لن بدون غير ممنوع مستحيل",
        "نعم",
        "لا كلا",
    ),
    "zh": _words("", "", "是 是的 可以 对", "不 否 不是 不可以"),
    "ja": _words("", "", "はい", "いいえ"),
    "ko": _words("", "", "네 예", "아니요 아니오"),
}

STOP_WORDS = frozenset().union(*(words.stop for words in LANGUAGES.values()))
FOREIGN_NEGATIONS = frozenset().union(*(words.negations for code, words in LANGUAGES.items() if code != "en")) - {"no"}
NEGATIONS = LANGUAGES["en"].negations | FOREIGN_NEGATIONS
PAIRED_NEGATIONS = word_set("nor neither ni nem ни weder")
"""Two of them negate once: "neither X nor Y"."""

OPENS_A_CLAUSE = word_set("without ohne sans sin senza sem zonder без bez")
"""Negations that reach only the words behind them."""

PARTS_OF_CJK = word_list(
    "ません ない なかった なく ずに 不可 禁止 できず ぬ 没 不 未 无 勿 别 않 못 없 아니 아닙 불가 금지 "
    "마세요 마십시오 말아 말고"
)
"""Parts of a Chinese, Japanese or Korean word that negate its clause."""

NO_NEGATION_IN_CJK = word_list(
    "なければなら なければなりません なくてはなりません なければいけません ないといけません なくてはなら "
    "なければいけ ないといけ かもしれ しれない しれません 違いない 少ない 不过 不仅 不但 不同 不断 差不多 "
    "不久 不少 无论 别的 特别 分别 级别 未来 不管 除非 뿐만 못지 "
    "지나지 不具合 不明 お勧め"
)
"""Words in which such a part does not negate."""

NEGATED_TURKISH = (
    r"(?:m[ae]z(?:s[ıi]n(?:[ıi]z)?|l[ae]r)?|m[ae]y[ıi]n(?:[ıi]z)?|m[ıiuü]yor\w*|m[ae]d[ıi]\w*|m[ae]m[ae]l[ıi]\w*)"
)
"""The end of a negated Turkish verb: "silmeyin", "desteklenmiyor"."""

NEGATED_FORMS = frozenset(
    [
        "safe",
        "supported",
        "available",
        "necessary",
        "likely",
        "encrypted",
        "paid",
        "used",
        "authorized",
        "authorised",
        "changed",
        "common",
        "clear",
        "limited",
        "possible",
        "valid",
        "correct",
        "compatible",
        "complete",
        "active",
        "visible",
        "secure",
        "accurate",
        "sufficient",
        "effective",
        "dependent",
        "direct",
        "finite",
        "regular",
        "legal",
        "mutable",
        "reversible",
        "relevant",
        "modified",
        "signed",
        "sorted",
        "stable",
        "trusted",
        "verified",
        "tested",
        "restricted",
        "managed",
        "protected",
        "required",
        "installed",
        "expected",
        "allowed",
        "connected",
        "similar",
        "reliable",
        "readable",
        "reachable",
        "affected",
        "healthy",
        "billable",
        "refundable",
        "transferable",
        "editable",
        "licensed",
        "secured",
        "recoverable",
        "shared",
        "saved",
        "healthy",
        "resolved",
        "approved",
        "confirmed",
        "published",
        "read",
        "known",
        "desirable",
        "suitable",
        "true",
    ]
)
"""Words that un-, in-, im-, ir-, il-, dis- or non- negates: "unsupported" is "not supported"."""
