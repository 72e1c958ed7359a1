"""Words that exclude each other: on and off, monthly and yearly.

An axis is a list of poles; a pole is a list of words. ``*`` at the end of a word stands for any ending. Words of
several languages stand beside each other; a word with another meaning in one of the languages is left out.
"""

from cachewarm_pipeline.answers.veto.words_of import word_list, word_set

AXES: dict[str, tuple[str, ...]] = {
    "on/off": (
        "enabl* activate activates activated activating activation reactivat* aktivier* einschalt* "
        "eingeschaltet activer activez activé activée activa activar "
        "attiv* habilit* abilit* ativ* inschakel* ingeschakeld encender encienda acceso accend* включ* włącz* "
        "etkinleştir* aktif تفعيل تشغيل",
        "disabl* deactivat* deaktivier* ausschalt* ausgeschaltet désactiv* desactiv* disattiv* "
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
        "decreas* reduc* lower* fall* fell declin* shrink* shrank diminish* drop drops dropped senk* "
        "verringer* diminu* "
        "dismin* verlaag* уменьш* zmniejsz* azalt* azal* depreciat* weaken* decelerat* slows slower",
    ),
    "more/less": ("more mehr más mais meer больше więcej", "less fewer weniger moins menos minder meno меньше mniej"),
    "above/below": (
        "above exceed* exceeding oberhalb oben superieur supérieur superior выше powyżej üzerinde",
        "below beneath underneath unterhalb unten inférieur inferior ниже poniżej altında",
    ),
    "minimum/maximum": (
        "minimum minimal* min smallest lowest mindest* mínimo minimo минимум*",
        "maximum maximal* max largest highest biggest höchst* máximo massimo максимум*",
    ),
    "first/last": (
        "first oldest earliest beginning premier première primero primera primo первый pierwszy",
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
    "ascending/descending": (
        "ascending asc aufsteigend* croissant ascendente",
        "descending desc absteigend* décroissant",
    ),
    "time of the day": (
        "morning a.m mornings vormittag* matin",
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
    "start/stop": (
        "start starts started starting begin* launch* starte*",
        "stop stops stopped stopping end ends ended halt*",
    ),
    "keep/discard": (
        "keep keeps kept keeping retain* preserv* behalt*",
        "discard* drop drops dropped erase* wip* destroy*",
    ),
    "lock/unlock": ("lock locks locked locking", "unlock*"),
    "mute/unmute": ("mute mutes muted muting", "unmut*"),
    "show/hide": (
        "show shows shown showing display displays displayed visible",
        "hide hides hidden hiding invisible conceal*",
    ),
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
    "upload/download": (
        "upload* upstream upgrad* upward* upwards",
        "download* downstream downgrad* downward* downwards",
    ),
    "case": ("uppercase", "lowercase"),
    "positive/negative": ("positive positively", "negative negatively"),
    "single/multiple": ("single", "multiple several many"),
    "same/different": ("same identical equal", "different distinct"),
    "win/lose": ("win wins won winning", "lose loses lost losing"),
    "supported": ("support supports supported unterstützt soportado", "deprecated"),
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
    "weekday": word_list("monday* tuesday* wednesday* thursday* friday* saturday* sunday*"),
    "month": word_list("january february march april june july august september october november december"),
}
"""Words of one axis exclude each other in the same place."""

CJK_POLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "on/off": (
        ("启用", "打开", "开启", "有効", "オン", "활성화", "켜", "켭"),
        ("禁用", "关闭", "停用", "無効", "オフ", "비활성화", "끄", "끕"),
    ),
    "safe/dangerous": (("安全", "안전"), ("危险", "危険", "위험")),
    "before/after": (("之前", "以前", "前に", "전에"), ("之后", "以后", "後に", "후에")),
    "increase/decrease": (
        ("增加", "提高", "増や", "上げ", "증가", "늘"),
        ("减少", "降低", "減ら", "下げ", "감소", "줄"),
    ),
    "allow/deny": (("允许", "許可", "허용"), ("拒绝", "拒否", "거부", "차단")),
    "free/paid": (("免费", "無料", "무료"), ("收费", "付费", "有料", "유료")),
    "minimum/maximum": (("最小", "最低", "최소"), ("最大", "最高", "최대")),
    "left/right": (("左", "왼쪽"), ("右", "오른쪽")),
    "required/optional": (("必须", "必需", "必須", "필수"), ("可选", "任意", "선택 사항")),
    "public/private": (("公开", "公開"), ("私有", "非公開")),
    "period": (("每天", "毎日", "매일"), ("每周", "毎週", "매주")),
}
"""Parts of Chinese, Japanese and Korean words; the longer of two that overlap counts."""


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

REVERSED_BY_NOT = word_set(
    "on/off allow/deny safe/dangerous open/close include/exclude public/private required/optional sync/async "
    "true/false success/failure show/hide lock/unlock supported keep/discard temporary/permanent encrypt/decrypt "
    "accept/decline same/different manual/automatic"
)
"""Axes of which a negation turns one pole into the other: what is not on is off. What does not rise need not fall."""
SEVERAL_POLES = frozenset(["billed for", *(axis for axis, poles in AXES.items() if len(poles) > 2)])
"""Axes of more than two poles: a text that names several of them often lists them."""
