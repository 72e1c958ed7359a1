"""Units of measure, spelled numbers, and words that make a number an approximate one."""

from cachewarm_pipeline.answers.veto.words_of import word_list, word_set

_UNITS = {
    "time": "ms:0.001 millisecond*:0.001 second*:1 sec:1 secs:1 s:1 minute*:60 min:60 mins:60 hour*:3600 "
    "hr:3600 hrs:3600 "
    "h:3600 day*:86400 week*:604800 fortnight:1209600 month*:2629800 year*:31557600 yr:31557600 yrs:31557600 "
    "sekunde*:1 minuten:60 stunde*:3600 tag:86400 tage*:86400 woche*:604800 monat*:2629800 jahr*:31557600 seconde*:1 "
    "heure*:3600 jour*:86400 semaine*:604800 mois:2629800 ans:31557600 segundo*:1 minuto*:60 hora*:3600 día*:86400 "
    "semana*:604800 mes:2629800 meses:2629800 año*:31557600 giorni:86400 giorno:86400 ore:3600 settiman*:604800 "
    "mesi:2629800 anni:31557600 dia*:86400 anos:31557600 dagen:86400 dag:86400 uur:3600 weken:604800 дней:86400 "
    "дня:86400 день:86400 часов:3600 часа:3600 минут*:60 недел*:604800 месяц*:2629800 dni:86400 godzin*:3600 "
    "gün*:86400 saat*:3600 dakika*:60 hafta*:604800 ay:2629800 天:86400 日:86400 小时:3600 時間:3600 分:60 "
    "分钟:60 분:60 "
    "秒:1 周:604800 週間:604800 일:86400 시간:3600 दिन*:86400 दिनों:86400 घंटे:3600 يوم*:86400 أيام:86400 ساعة:3600",
    "length": "mm:0.001 millimeter*:0.001 millimetre*:0.001 cm:0.01 centimeter*:0.01 centimetre*:0.01 m:1 meter*:1 "
    "metre*:1 km:1000 kilometer*:1000 kilometre*:1000 mile*:1609.344 mi:1609.344 foot:0.3048 feet:0.3048 ft:0.3048 "
    "inch*:0.0254 yard*:0.9144 nm:1852",
    "mass": "mg:0.001 milligram*:0.001 g:1 gram*:1 kg:1000 kilogram*:1000 kilo*:1000 lb:453.592 lbs:453.592 "
    "pound*:453.592 "
    "oz:28.35 ounce*:28.35 ton:907185 tons:907185 tonne*:1000000",
    "data": "b:1 byte*:1 kb:1000 kilobyte*:1000 mb:1e6 megabyte*:1e6 gb:1e9 gigabyte*:1e9 tb:1e12 terabyte*:1e12 "
    "kib:1024 mib:1048576 gib:1073741824 tib:1.0995e12",
    "speed of a link": "kbps:1e3 mbps:1e6 gbps:1e9",
    "volume": "ml:0.001 milliliter*:0.001 millilitre*:0.001 l:1 liter*:1 litre*:1 gallon*:3.785 pint*:0.473 "
    "cup:0.2366 cups:0.2366 "
    "tablespoon*:0.0148 tbsp:0.0148 teaspoon*:0.0049 tsp:0.0049",
    "frequency": "hz:1 khz:1e3 mhz:1e6 ghz:1e9",
    "percent": "%:1 percent:1 pct:1 prozent:1 procent:1",
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
_CONFUSED: tuple[frozenset[str], ...] = (
    frozenset(["time", "working time"]),
    frozenset(["dollar", "euro", "pound sterling", "yen", "rupee"]),
    frozenset(["percent", "percentage points"]),
    frozenset(["celsius", "fahrenheit"]),
    frozenset(["data", "speed of a link"]),
)
CONFUSED_UNITS = frozenset((a, b) for kinds in _CONFUSED for a in kinds for b in kinds if a != b)
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

SMALL = word_list("two three four five six seven eight nine ten eleven twelve")
TEENS = word_list("thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
TENS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")
NUMBER_WORDS: dict[str, float] = {
    "zero": 0,
    **{word: number for number, word in enumerate(SMALL + TEENS, 2)},
    **{word: 10 * tens for tens, word in enumerate(TENS, 2)},
    **dict(zip(["zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"], range(2, 11), strict=True)),
    **dict(zip(["deux", "trois", "quatre", "cinq"], range(2, 6), strict=True)),
    **dict(zip(["dos", "tres", "cuatro", "cinco"], range(2, 6), strict=True)),
    **dict(zip(["due", "tre", "quattro", "cinque"], range(2, 6), strict=True)),
    "trente": 30, "dreißig": 30, "treinta": 30, "trenta": 30, "quinze": 15, "quince": 15, "vierzehn": 14,
}  # fmt: skip
"""The word "one" is excluded: it is often a pronoun."""

MAGNITUDES = {
    "hundred": 100.0,
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "millions": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
}
HEDGES = word_set("about around approximately approx roughly nearly almost over circa ca some estimated")
"""Words that make a number an approximate one."""
