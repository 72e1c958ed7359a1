"""Words that exclude each other, and units of measure.

An axis is a list of poles; a pole is a list of words. ``*`` at the end of a word stands for any ending. Words of several
languages stand beside each other; a word with another meaning in one of the languages is left out.
"""

import re

AXES: dict[str, tuple[str, ...]] = {
    "on/off": (
        "enabl* activate activates activated activating activation reactivat* unmut* aktivier* einschalt* eingeschaltet activer activez activé activée activa activar active-el "
        "attiv* habilit* abilit* ativ* inschakel* ingeschakeld encender encienda acceso accend* включ* włącz* "
        "etkinleştir* aktif تفعيل تشغيل",
        "disabl* deactivat* mute muted muting deaktivier* ausschalt* ausgeschaltet désactiv* desactiv* disattiv* "
        "deshabilit* disabilit* desativ* uitschakel* uitgeschakeld apagar apague spegn* выключ* отключ* wyłącz* "
        "kapat* تعطيل إيقاف",
    ),
    "allow/deny": (
        "allow allows allowing permit permits permitting accept* grant* whitelist* allowlist* erlaub* autoris* permite "
        "permiten consent* разреш* izin",
        "deny denies denied denying block blocks blocked blocking reject* refus* forbid* prohibit* revok* blacklist* "
        "blocklist* denylist* verbiet* bloquea* запре* prevent prevents engelle*",
    ),
    "safe/dangerous": (
        "safe safely secure sicher sûr seguro segura sicuro sicura veilig безопасн* bezpieczn* güvenli آمن सुरक्षित",
        "dangerous* risky harmful vulnerable hazardous insecure gefährlich* dangereux peligroso pericoloso perigoso "
        "gevaarlijk опасн* niebezpieczn* tehlikeli خطير असुरक्षित",
    ),
    "increase/decrease": (
        "increas* rais* ris* rose grow* grew higher expand* erhöh* steig* augment* aument* verhoog* увелич* zwiększ* "
        "artır* artar* appreciat* strengthen* accelerat* speeds faster",
        "decreas* reduc* lower* fall* fell declin* shrink* shrank diminish* drop drops dropped senk* verringer* diminu* "
        "dismin* verlaag* уменьш* zmniejsz* azalt* azal* depreciat* weaken* decelerat* slows slower",
    ),
    "more/less": ("more mehr más mais meer больше więcej", "less fewer weniger moins menos minder meno меньше mniej"),
    "above/below": (
        "above exceed* exceeding oberhalb oben superieur supérieur superior выше powyżej üzerinde",
        "below beneath underneath unterhalb unten inférieur inferior ниже poniżej altında",
    ),
    "minimum/maximum": (
        "minimum minimal* min smallest lowest mindest* mínimo minimo минимум* en-az",
        "maximum maximal* max largest highest biggest höchst* máximo massimo максимум* limit",
    ),
    "first/last": (
        "first oldest earliest beginning premier première primero primera primo prima-volta первый pierwszy",
        "last newest latest final ending dernier dernière último última ultimo последн* ostatni",
    ),
    "open/close": (
        "open opens opened opening öffn* geöffnet ouvr* ouvert* abrir abra abierto apri* apert* откр* otwórz açık",
        "close* closing shut schließ* geschlossen ferm* cerrar cierre cerrado chius* закр* zamkn* kapalı",
    ),
    "include/exclude": (
        "includ* inclusive contain* einschließlich inclu* enthalten comprend* incluye",
        "exclud* exclusive omit* omitted except ausgeschlossen exclu* excluye",
    ),
    "public/private": ("public publicly öffentlich público pubblico", "private privately privat privé privado privato"),
    "required/optional": (
        "requir* mandatory compulsory obligatory necessary erforderlich* verpflichtend obligatoire obligatorio "
        "obligatoria obbligatorio verplicht обязательн* obowiązkow* zorunlu إلزامي अनिवार्य",
        "optional* voluntary optionnel* facultatif opcional opzionale facoltativo optioneel необязательн* opcjonaln* "
        "isteğe اختياري वैकल्पिक",
    ),
    "free/paid": (
        "free gratis kostenlos* gratuit* gratuito бесплатн* bezpłatn* darmow* ücretsiz مجاني मुफ्त",
        "paid chargeable kostenpflichtig* payant* pago платн* płatn* ücretli مدفوع",
    ),
    "sync/async": ("sync synchronous* synchron blocking", "async asynchronous* asynchron nonblocking non-blocking"),
    "encrypt/decrypt": ("encrypt encrypts encrypted encrypting encryption", "decrypt* plaintext"),
    "ascending/descending": ("ascending asc aufsteigend* croissant ascendente", "descending desc absteigend* décroissant"),
    "time of the day": (
        "morning a.m mornings vormittag* matin mañana-s",
        "evening p.m afternoon evenings nachmittag* abends soir noche tarde",
        "midnight",
        "noon",
    ),
    "true/false": ("true", "false"),
    "success/failure": (
        "succe* pass passes passed erfolg* réuss* éxito",
        "fail* unsuccessful* fehlgeschlagen échou* fracas* fallì",
    ),
    "add/remove": (
        "add adds added adding insert* append* attach* hinzu* ajout* añad* aggiung* adicion* добав* dodaj*",
        "remov* delet* detach* uninstall* entfern* lösch* supprim* elimin* rimuov* удал* usuń*",
    ),
    "start/stop": ("start starts started starting begin* launch* starte*", "stop stops stopped stopping end ends ended halt*"),
    "keep/discard": ("keep keeps kept keeping retain* preserv* behalt*", "discard* drop drops dropped erase* wip* destroy*"),
    "lock/unlock": ("lock locks locked locking", "unlock*"),
    "show/hide": ("show shows shown showing display displays displayed visible", "hide hides hidden hiding invisible conceal*"),
    "buy/sell": ("buy buys buying bought purchas*", "sell sells selling sold"),
    "push/pull": ("push pushes pushed pushing", "pull pulls pulled pulling"),
    "send/receive": ("send sends sent sending sender", "receiv* recipient"),
    "read/write": ("read reads reading read-only readonly", "write writes writing writable write-only"),
    "manual/automatic": ("manual manually manuell manuellement manualmente", "automatic automatically automatisch*"),
    "temporary/permanent": ("temporary temporarily vorübergehend", "permanent permanently irreversib* dauerhaft"),
    "local/remote": ("local locally on-premises lokal", "remote remotely cloud utc gmt server-side"),
    "client/server": ("client-side client", "server-side server"),
    "early/late": ("early earlier sooner", "late later"),
    "hot/cold": ("hot warm warmer heat heats", "cold cool cooler chill"),
    "inside/outside": ("inside internal internally indoors interior", "outside external externally outdoors exterior"),
    "horizontal/vertical": ("horizontal horizontally", "vertical vertically"),
    "import/export": ("import imports imported importing", "export exports exported exporting"),
    "upload/download": ("upload* upstream upgrad* upward* upwards", "download* downstream downgrad* downward* downwards"),
    "case": ("uppercase capital-letters", "lowercase"),
    "positive/negative": ("positive positively", "negative negatively"),
    "single/multiple": ("single only-one", "multiple several many"),
    "same/different": ("same identical equal", "different distinct"),
    "win/lose": ("win wins won winning", "lose loses lost losing"),
    "supported": ("support supports supported unterstützt soportado", "deprecated dropped-support"),
    "accept/decline": ("approve* approving", "declin* disapprov*"),
    "agree/opt out": ("opt-in subscrib*", "opt-out unsubscrib*"),
    "north/south": ("north northern northward", "south southern southward", "east eastern eastward", "west western"),
    "period": (
        "hourly stündlich",
        "daily täglich quotidien* diario",
        "weekly wöchentlich hebdomadaire semanal settimanale",
        "monthly monatlich mensuel* mensual* mensile mensal* ежемесячн*",
        "quarterly",
        "yearly annual annually jährlich annuel* anual* annuale ежегодн*",
    ),
    "weekday": tuple("monday* tuesday* wednesday* thursday* friday* saturday* sunday*".split()),
    "month": tuple(
        "january february march april june july august september october november december".split()
    ),
}
"""Words of one axis exclude each other in the same place."""

PHRASES: tuple[tuple[str, str, int], ...] = (
    ("on/off", r"\b(?:turn|switch|toggl|flip)(?:s|ed|ing|e|ped|ping)? on\b(?! (?:mon|tues|wednes|thurs|fri|satur|sun)day)", 0),
    ("on/off", r"\b(?:turn|switch|toggl|flip|shut)(?:s|ed|ing|e|ped|ping)? off\b", 1),
    (
        "on/off",
        r"\b(?:turn|switch|toggl|flip|keep|leav|set|put|slid|mov)(?:s|ed|ing|e|es|ped|ping)? (?:[^\s.,;:!?]+ ){1,6}?on\b"
        r"(?=\W*$| ?[.,;:!?)\n]| (?:again|in|by|for|from|under|via|using|and|or|if|when|before|after|at|with|while)\b)",
        0,
    ),
    ("on/off", r"\b(?:turn|switch|toggl|flip|keep|leav|set|put|slid|mov)(?:s|ed|ing|e|es|ped|ping)? (?:[^\s.,;:!?]+ ){1,6}?off\b", 1),
    ("on/off", r"\b(?:to|is|are|be|stays?|remains?|comes?|=) [\"'`“]?on\b(?=[\"'`”]?(?:\W*$|[.,;:!?)\n]| by default| for (?:all|every)))", 0),
    ("on/off", r"\b(?:to|is|are|be|stays?|remains?|comes?|=) [\"'`“]?off\b(?! the\b)", 1),
    ("on/off", r"\ballum(?:er|ez|é)\b|\bschalten sie [^.,;:!?]{1,60} ein\b|\bzet [^.,;:!?]{1,60} aan\b", 0),
    ("on/off", r"\béteign\w*|\béteint\b|\bschalten sie [^.,;:!?]{1,60} aus\b|\bzet [^.,;:!?]{1,60} uit\b", 1),
    ("up/down", r"\b(?:scale|scroll|swipe|go|goes|going|went|move|moves|turn|turns|turned|volume|page|arrow) up\b|\bup arrow\b", 0),
    ("up/down", r"\b(?:scale|scroll|swipe|go|goes|going|went|move|moves|turn|turns|turned|volume|page|arrow) down\b|\bdown arrow\b", 1),
    (
        "left/right",
        r"\bleft[- ](?:side|corner|hand|click|arrow|button|panel|sidebar|menu|lane|column|edge|pane|of)\w*|\bleft-?most\b"
        r"|\b(?:turn|swipe|keep|go|scroll|top|upper|bottom|lower|drive|drives|align)[- ]left\b|\b(?:to|on|from) the left\b"
        r"|\blinks\b|\bizquierd\w*|\bà gauche\b|\bsinistra\b|\besquerd\w*|\bслева\b|\bвлево\b|\bналево\b",
        0,
    ),
    (
        "left/right",
        r"\bright[- ](?:side|corner|hand|click|arrow|button|panel|sidebar|menu|lane|column|edge|pane|of)\w*|\bright-?most\b"
        r"|\b(?:turn|swipe|keep|go|scroll|top|upper|bottom|lower|drive|drives|align)[- ]right\b"
        r"|\b(?:to|on|from) the right\b|\brechts\b|\bderecha\b|\bà droite\b|\bdestra\b|\bdireita\b|\bсправа\b|\bнаправо\b",
        1,
    ),
    ("at least/at most", r"\bat least\b|\bat minimum\b|\bmindestens\b|\bau moins\b|\bal menos\b|\balmeno\b|\bminstens\b|\bне менее\b", 0),
    ("at least/at most", r"\bat most\b|\bup to\b|\bhöchstens\b|\bau plus\b|\bcomo máximo\b|\bal massimo\b|\bhoogstens\b|\bне более\b", 1),
    ("more/less than", r"\b(?:greater|more|larger|longer|higher|bigger|older|over) than\b|\bmehr als\b|\bplus de\b|\bmás de\b", 0),
    ("more/less than", r"\b(?:less|fewer|smaller|shorter|lower|younger) than\b|\bweniger als\b|\bmoins de\b|\bmenos de\b", 1),
    ("billed for", r"\b(?:per|for each|for every|for one|an?) (?:user|seat|member|person|head)\b", 0),
    ("billed for", r"\b(?:per|for each|for every|for one|an?) (?:team|workspace|group|department)\b", 1),
    ("billed for", r"\b(?:per|for each|for every|for one) (?:organi[sz]ation|company|account|tenant)\b", 2),
    ("period", r"\b(?:per|an|every|each) hour\b", 0),
    ("period", r"\b(?:per|a|every|each) day\b|\bpro tag\b|\bpar jour\b|\bal día\b", 1),
    ("period", r"\b(?:per|a|every|each) week\b|\bpro woche\b|\bpar semaine\b", 2),
    ("period", r"\b(?:per|a|every|each) month\b|\bpro monat\b|\bpar mois\b|\bal mes\b|\bal mese\b|\bpor mês\b", 3),
    ("period", r"\b(?:per|a|every|each) quarter\b", 4),
    ("period", r"\b(?:per|a|every|each) year\b|\bpro jahr\b|\bpar an\b|\bal año\b|\ball'anno\b|\bpor ano\b", 5),
    ("time zone", r"\butc\b|\bgmt\b|\buniversal time\b", 0),
    ("time zone", r"\blocal time\w*|\b(?:your|server's|user's|own) time ?zone\b|\btheir time ?zone\b", 1),
    ("percent/points", r"\bpercentage points?\b|\bprozentpunkte?\b|\bbasis points?\b", 1),
    ("percent/points", r"\d ?%|\bpercent\b|\bprozent\b", 0),
)
"""Poles of more than one word: the axis, an expression over the casefolded text, and the pole."""

CJK_POLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "on/off": (("启用", "打开", "开启", "有効", "オン", "활성화", "켜", "켭"), ("禁用", "关闭", "停用", "無効", "オフ", "비활성화", "끄", "끕")),
    "safe/dangerous": (("安全", "안전"), ("危险", "危険", "위험")),
    "before/after": (("之前", "以前", "前に", "전에"), ("之后", "以后", "後に", "후에")),
    "increase/decrease": (("增加", "提高", "増や", "上げ", "증가", "늘"), ("减少", "降低", "減ら", "下げ", "감소", "줄")),
    "allow/deny": (("允许", "許可", "허용"), ("拒绝", "拒否", "거부", "차단")),
    "free/paid": (("免费", "無料", "무료"), ("收费", "付费", "有料", "유료")),
    "minimum/maximum": (("最小", "最低", "최소"), ("最大", "最高", "최대")),
    "left/right": (("左", "왼쪽"), ("右", "오른쪽")),
    "required/optional": (("必须", "必需", "必須", "필수"), ("可选", "任意", "선택 사항")),
    "public/private": (("公开", "公開"), ("私有", "非公開")),
    "period": (("每天", "毎日", "매일"), ("每周", "毎週", "매주")),
}
"""Parts of Chinese, Japanese and Korean words; the longer of two that overlap counts."""

_UNITS = {
    "time": "ms:0.001 millisecond*:0.001 second*:1 sec:1 secs:1 s:1 minute*:60 min:60 mins:60 hour*:3600 hr:3600 hrs:3600 "
    "h:3600 day*:86400 week*:604800 fortnight:1209600 month*:2629800 year*:31557600 yr:31557600 yrs:31557600 "
    "sekunde*:1 minuten:60 stunde*:3600 tag:86400 tage*:86400 woche*:604800 monat*:2629800 jahr*:31557600 seconde*:1 "
    "heure*:3600 jour*:86400 semaine*:604800 mois:2629800 ans:31557600 segundo*:1 minuto*:60 hora*:3600 día*:86400 "
    "semana*:604800 mes:2629800 meses:2629800 año*:31557600 giorni:86400 giorno:86400 ore:3600 settiman*:604800 "
    "mesi:2629800 anni:31557600 dia*:86400 anos:31557600 dagen:86400 dag:86400 uur:3600 weken:604800 дней:86400 "
    "дня:86400 день:86400 часов:3600 часа:3600 минут*:60 недел*:604800 месяц*:2629800 dni:86400 godzin*:3600 "
    "gün*:86400 saat*:3600 dakika*:60 hafta*:604800 ay:2629800 天:86400 日:86400 小时:3600 時間:3600 分:60 分钟:60 분:60 "
    "秒:1 周:604800 週間:604800 일:86400 시간:3600 दिन*:86400 दिनों:86400 घंटे:3600 يوم*:86400 أيام:86400 ساعة:3600",
    "length": "mm:0.001 millimeter*:0.001 millimetre*:0.001 cm:0.01 centimeter*:0.01 centimetre*:0.01 m:1 meter*:1 "
    "metre*:1 km:1000 kilometer*:1000 kilometre*:1000 mile*:1609.344 mi:1609.344 foot:0.3048 feet:0.3048 ft:0.3048 "
    "inch*:0.0254 yard*:0.9144 nm:1852",
    "mass": "mg:0.001 milligram*:0.001 g:1 gram*:1 kg:1000 kilogram*:1000 kilo*:1000 lb:453.592 lbs:453.592 pound*:453.592 "
    "oz:28.35 ounce*:28.35 ton:907185 tons:907185 tonne*:1000000",
    "data": "b:1 byte*:1 kb:1000 kilobyte*:1000 mb:1e6 megabyte*:1e6 gb:1e9 gigabyte*:1e9 tb:1e12 terabyte*:1e12 "
    "kib:1024 mib:1048576 gib:1073741824 tib:1.0995e12",
    "speed of a link": "kbps:1e3 mbps:1e6 gbps:1e9",
    "volume": "ml:0.001 milliliter*:0.001 millilitre*:0.001 l:1 liter*:1 litre*:1 gallon*:3.785 pint*:0.473 cup:0.2366 cups:0.2366 "
    "tablespoon*:0.0148 tbsp:0.0148 teaspoon*:0.0049 tsp:0.0049",
    "frequency": "hz:1 khz:1e3 mhz:1e6 ghz:1e9",
    "percent": "%:1 percent:1 pct:1 prozent:1 procent:1 по-проценту:1",
    "percentage points": "pp:1",
    "dollar": "$:1 usd:1 dollar*:1 us$:1 cents:0.01",
    "euro": "€:1 eur:1 euro*:1",
    "pound sterling": "£:1 gbp:1",
    "yen": "¥:1 jpy:1 yen:1",
    "rupee": "₹:1 inr:1 rupee*:1",
    "celsius": "°c:1 celsius:1",
    "fahrenheit": "°f:1 fahrenheit:1",
    "speed": "km/h:1 kph:1 mph:1.609",
    "time of day": "am:1 pm:1 a.m:1 p.m:1",
}
CONFUSED_UNITS: tuple[frozenset[str], ...] = (
    frozenset(["time", "working time"]),
    frozenset(["dollar", "euro", "pound sterling", "yen", "rupee"]),
    frozenset(["percent", "percentage points"]),
    frozenset(["celsius", "fahrenheit"]),
    frozenset(["data", "speed of a link"]),
)
"""Kinds of units that exclude each other behind the same number."""


def _split(entries: dict[str, str]) -> tuple[dict[str, tuple[str, float]], dict[str, tuple[str, float]]]:
    exact: dict[str, tuple[str, float]] = {}
    prefix: dict[str, tuple[str, float]] = {}
    for kind, units in entries.items():
        for unit in units.split():
            word, factor = unit.rsplit(":", 1)
            (prefix if word.endswith("*") else exact)[word.removesuffix("*")] = kind, float(factor)
    return exact, prefix


UNITS, UNIT_STEMS = _split(_UNITS)
"""Kind and size of a unit, by its word, and by the beginning of its word."""

SMALL = "two three four five six seven eight nine ten eleven twelve".split()
TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBER_WORDS: dict[str, float] = {
    "zero": 0,
    **{word: number for number, word in enumerate(SMALL + TEENS, 2)},
    **{word: 10 * tens for tens, word in enumerate(TENS, 2)},
    **dict(zip("zwei drei vier fünf sechs sieben acht neun zehn".split(), range(2, 11), strict=True)),
    **dict(zip("deux trois quatre cinq".split(), range(2, 6), strict=True)),
    **dict(zip("dos tres cuatro cinco".split(), range(2, 6), strict=True)),
    **dict(zip("due tre quattro cinque".split(), range(2, 6), strict=True)),
    "trente": 30, "dreißig": 30, "treinta": 30, "trenta": 30, "quinze": 15, "quince": 15, "vierzehn": 14,
}  # fmt: skip
"""The word "one" is excluded: it is often a pronoun."""

MAGNITUDES = {"hundred": 100.0, "thousand": 1e3, "k": 1e3, "million": 1e6, "millions": 1e6, "billion": 1e9, "trillion": 1e12}
HEDGES = frozenset("about around approximately approx roughly nearly almost over circa ca some estimated".split())
"""Words that make a number an approximate one."""


def _axis_words() -> tuple[dict[str, tuple[str, int]], dict[str, tuple[str, int]]]:
    exact: dict[str, tuple[str, int]] = {}
    prefix: dict[str, tuple[str, int]] = {}
    for axis, poles in AXES.items():
        for pole, words in enumerate(poles):
            for word in words.split():
                (prefix if word.endswith("*") else exact).setdefault(word.removesuffix("*"), (axis, pole))
    return exact, prefix


POLE_WORDS, POLE_STEMS = _axis_words()
"""Axis and pole of a word, and of the beginning of a word."""

POLE_PHRASES = tuple((axis, re.compile(expression), pole) for axis, expression, pole in PHRASES)
PHRASE_WORDS = {
    "on/off": "on off allum schalten zet éte",
    "up/down": "up down",
    "left/right": "left right link izquierd gauche sinistra esquerd слева влево налево recht derech droite destra direita справа",
    "at least/at most": "at up mindest moins menos almeno minst не höchst plus como massimo hoogst",
    "more/less than": "than als de",
    "billed for": "user seat member person head team workspace group department organi company account tenant",
    "period": "hour day week month quarter year pro par al por ann",
    "time zone": "utc gmt universal local zone",
    "percent/points": "percent % prozent points",
}
"""For each axis, parts of a text of which its phrases need one: looking for these is far cheaper."""
PHRASE_PARTS = {axis: re.compile("|".join(words.split())) for axis, words in PHRASE_WORDS.items()}
REVERSED_BY_NOT = frozenset(
    "on/off allow/deny safe/dangerous open/close include/exclude public/private required/optional free/paid sync/async "
    "true/false success/failure show/hide lock/unlock supported keep/discard temporary/permanent "
    "encrypt/decrypt accept/decline same/different manual/automatic".split()
)
"""Axes of which a negation turns one pole into the other: what is not on is off. What does not rise need not fall."""
SEVERAL_POLES = frozenset(["billed for", *(axis for axis, poles in AXES.items() if len(poles) > 2)])
"""Axes of more than two poles: a text that names several of them often lists them."""
