"""Whether a text instructs the judge instead of answering: such a text is never sent to the model that judges.

What is found: an order to drop the instructions, a claim about who the reader is or which verdict is wanted, JSON that
imitates the judge's message or verdict, and the markers of a chat template. English, German, French, Spanish,
Portuguese, Italian, Russian, Chinese and Japanese.

The limit: this reads forms, not intent. A new wording or another language passes; then the instructions of the judge
(``judge_question``), the strict schema and the JSON escaping remain. A text about prompt injection passes while it
quotes the order, keeps it in code or names it after "write:", and addresses no judge. A text that shows a chat template
or the JSON of a verdict is held although it may be harmless. This costs hits only.
"""

import re
import unicodedata
from functools import lru_cache


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.MULTILINE)


_MARKERS = _any_of(
    r"<\|\s*(?:im_start|im_end|im_sep|system|user|assistant|end|endoftext|eot_id|start_header_id|end_header_id"
    r"|begin_of_text)\s*\|>",
    r"\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>",
    r"^\s*#{2,}\s*system(?:\s+(?:prompt|message))?\s*:",
)
"""Markers of a chat template."""

_KEYS = _any_of(
    r"""["']?\bequivalent\b["']?\s*[:=]\s*["']?(?:true|false|yes|no)\b""",
    r"""["']?\bverdict\b["']?\s*(?:[:=]|is)\s*["']?(?:equivalent|the\s+same)\b""",
    r"""["'](?:answer_a|answer_b|answered_by)["']\s*:""",
)
"""A verdict, or a key of the judge's message."""

_JUDGE = r"(?:judge|grader|evaluator)\b"
_FEW = r"(?:\w+\s+){0,3}"
"""Up to three words."""

_ADDRESS = _any_of(
    rf"(?<!\bif\s)(?<!\bwhen\s)(?<!\bwhether\s)\byou\s+are\s+(?:now\s+)?(?:the|an?)\s+{_FEW}{_JUDGE}",
    rf"\bdear\s+{_JUDGE}|\b(?:note|message|instructions?)\s+(?:to|for)\s+the\s+{_JUDGE}",
    rf"(?:^|[.!?]\s+)(?:to\s+the|attention,?)\s+{_JUDGE}",
    r"\bdu\s+bist\s+(?:jetzt\s+)?(?:der|die|eine?)\s+(?:richter|gutachter|prüfer|bewerter)",
    r"\b(?:tu\s+es|vous\s+êtes)\s+(?:maintenant\s+)?(?:le|la|une?)\s+(?:juge|évaluateur)",
    r"\b(?:eres|usted\s+es)\s+(?:ahora\s+)?(?:el|la|una?)\s+(?:juez|evaluador)",
    r"\bvocê\s+é\s+(?:agora\s+)?(?:o|a|uma?)\s+(?:juiz|avaliador)",
    r"\bsei\s+(?:ora\s+)?(?:il|un)\s+(?:giudice|valutatore)",
    r"(?:ты|вы)\s+(?:теперь\s+)?(?:судья|оценщик)",
    r"你(?:现在)?是(?:一个|一位|一名)?(?:评判|裁判|评委|法官|评审)|あなたは(?:今)?(?:審査員|裁判官|判定者|評価者)",
)
"""A text that says that its reader is a judge."""

_WANTED = _any_of(
    r"\b(?:say|answer|reply|respond|return|output|print|mark|judge|rate)\s+"
    r"(?:(?:with|only|just|that|them|these|it|both|pair|this|the|as|are|is)\s+){0,4}"
    r"""["'{]*equivalent["'}]*\s*(?:[.!,;:=]|$|true\b|yes\b)""",
    rf"\b(?:both|the|these|two)\s+answers\s+{_FEW}(?:equivalent|identical)\b",
    rf"\b(?:beide|die|diese|beiden)\s+antworten\s+{_FEW}(?:gleichwertig|äquivalent)",
    rf"\b(?:les|ces|deux)\s+réponses\s+{_FEW}équivalentes",
    rf"\b(?:las|estas|ambas|dos)\s+respuestas\s+{_FEW}equivalentes",
    rf"\b(?:as|estas|ambas|duas)\s+respostas\s+{_FEW}equivalentes",
    rf"\b(?:le|queste|due)\s+risposte\s+{_FEW}equivalenti",
    rf"ответы\s+{_FEW}(?:эквивалентны|равнозначны)",
    r"(?:答案|回答)(?:都|是|为)*(?:等价|等效)|(?:回答|答え)(?:は|を)*(?:同等|等価)",
)
"""A text that names the verdict that it wants."""

_ORDERS = _any_of(
    rf"\b(?:ignore|disregard|forget|override)\s+{_FEW}(?:previous|prior|above|earlier|preceding)\s+"
    r"(?:\w+\s+){0,2}(?:instructions?|prompts?|rules?|messages?|directions?)",
    r"\b(?:ignore|disregard|forget|override)\s+(?:all\s+)?(?:of\s+)?(?:your|the\s+system)\s+(?:\w+\s+)?"
    r"(?:instructions?|prompts?|rules?)",
    rf"\b(?:ignoriere?|ignorieren\s+sie|vergiss|missachte)\s+{_FEW}(?:anweisungen|instruktionen|vorgaben|regeln)",
    rf"\b(?:ignore|ignorez|oublie|oubliez)\s+{_FEW}(?:instructions\s+(?:précédentes|ci-dessus)|consignes)",
    rf"\b(?:ignora|ignore|olvida|olvide)\s+{_FEW}(?:instrucciones|órdenes)",
    rf"\b(?:ignore|esqueça|desconsidere)\s+{_FEW}(?:instruções|ordens)",
    rf"\b(?:ignora|dimentica)\s+{_FEW}istruzioni",
    rf"(?:игнорируй|забудь)(?:те)?\s+{_FEW}(?:инструкции|указания|правила)",
    r"(?:忽略|无视|忘记)[^。\n]{0,12}(?:指令|指示|说明|规则|提示)|(?:指示|命令|指令|ルール)(?:を|は)[^。\n]{0,6}無視",
)
"""An order to drop the instructions."""

_REPORTED = re.compile(
    r"```.*?```|`[^`\n]+`|\"[^\"\n]+\"|“[^”\n]+”|«[^»\n]+»|„[^“”\n]+[“”]|「[^」\n]+」"
    r"|\b(?:writes?|types?|says?|sends?|enters?|asks?|e\.g\.|examples?|like|attacks?|inputs?|phrases?|texts?):\s[^.\n]*",
    re.IGNORECASE | re.DOTALL,
)
"""Where a text may speak about an order: a quotation, code, and the rest of a sentence after "write:"."""


@lru_cache(4_096)
def instructs_judge(text: str) -> bool:
    """Whether the text seems to instruct the judge; the module says what is found and what is not."""
    # Invisible characters and wide letters could hide a word.
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    if any(form.search(plain) for form in (_MARKERS, _KEYS, _ADDRESS, _WANTED)):
        return True
    return _ORDERS.search(_REPORTED.sub(" ", plain)) is not None
