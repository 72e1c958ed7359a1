"""Responses that claim what the other excludes contradict each other; rewordings and additions do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.veto.contradictions import contradict
from cachewarm_pipeline.answers.veto.facts import facts
from tests.answers.veto import answer_pairs, answer_pairs_held_out, answer_pairs_loose
from tests.support.any_response import RESPONSES

PIPELINE = "the release pipeline keeps working as the team knows it from the last quarter"
OPPOSITES = answer_pairs.OPPOSITES + answer_pairs_held_out.OPPOSITES
REWORDINGS = answer_pairs.REWORDINGS + answer_pairs_held_out.REWORDINGS
SENTENCES = sorted(
    {text for _, left, right, _ in OPPOSITES for text in (left, right) if text[0] != "{" and " " in text}
)
ELSEWHERE = [
    "Our office dog is called Bruno.",
    "The canteen serves soup on Fridays.",
    "A penguin cannot fly.",
    "Mount Everest has a height of 8849 m.",
    "Violins are louder than harps.",
    "Zebras drink before lions hunt.",
    "Giraffes never wear scarves.",
]


def agree(left: str, right: str) -> bool:
    return contradict(facts(left), facts(right)) is None


def reason(left: str, right: str) -> str | None:
    forth, back = contradict(facts(left), facts(right)), contradict(facts(right), facts(left))
    assert (forth is None) == (back is None)
    return forth


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            f"Deleting the branch after the merge is allowed, {PIPELINE}, so ask nobody about it beforehand.",
            f"You are not allowed to delete the branch after the merge. In other words, {PIPELINE} and before that.",
        ),
        (
            f"Audit logs stay for thirty days, {PIPELINE}, and then a nightly job removes them all at once.",
            f"Audit logs stay for ninety days, {PIPELINE}, and then a nightly job removes them all at once.",
        ),
        (
            f"Strict mode is enabled for every service, {PIPELINE}, and the proxy in front reads it at start.",
            f"Strict mode is disabled for every service, {PIPELINE}, and the proxy in front reads it at start.",
        ),
    ],
)
def test_long_answers_contradict_each_other_in_a_negation_a_number_word_or_a_state(left: str, right: str) -> None:
    assert min(len(left.split()), len(right.split())) > 25
    assert contradict(facts(left), facts(right))
    assert contradict(facts(right), facts(left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            "Plan 34 days, that is priority 4 of five for us",
            "It has priority 4 of 5 and takes 34 days, which is our plan",
        ),
        (
            "Before the release, do the test with 15 people who did not build the page themselves, and write it down.",
            "Let 15 outsiders do the test before the release, and keep a record of all of their findings somewhere.",
        ),
        (
            "The first Nobel Prize in Physics was awarded to Wilhelm Röntgen.",
            "The first Nobel Prize in Physics was awarded in 1901 to Wilhelm Röntgen; he received 150,782 kronor.",
        ),
        ("The trail is 5 miles long.", "The trail is 8 km long."),
        ("The film takes 3 hours and 48 minutes.", "The film takes 228 minutes."),
        ("Keep it for two weeks.", "Keep it for 14 days."),
        ("Restart the router before you install the update.", "Install the update after you restart the router."),
        ("The meeting takes place on Monday.", "The meeting takes place every Monday."),
        ("If it hangs, turn the modem off and on again.", "If the modem hangs, turn it off."),
        ("Open Settings > Display.", "In the settings, open Display."),
        ("The feature is not enabled.", "The feature is disabled."),
        ("Python is supported on Windows.", "Python isn't unsupported on Windows."),
        ("It was invented by Bell.", "Bell invented it."),
        ("Cats and dogs are pets.", "Dogs and cats are pets."),
        ("You must restart it. Do not forget to save.", "You must restart it. Save first."),
        ("ファイルを保存しなければなりません。", "ファイルを保存してください。"),
        ('{"risk": "low"}', '{"risk": "low", "days": 3}'),
    ],
)
def test_rewordings_and_additions_do_not_contradict(left: str, right: str) -> None:
    assert reason(left, right) is None


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("Keep it for 30 days", "Keep it for 90 days", "another number in the same place"),
        ("It costs $12 a month.", "It costs €12 a month.", "another unit in the same place"),
        ("Yes, do it.", "No, wait.", "yes against no"),
        ("Move from A to B", "Move from B to A", "the opposite direction"),
        ("Enable it", "Do not enable it", "on/off: one pole against another"),
        ("Alarm if `age > 5`.", "Alarm if `age < 5`.", "another comparison"),
        ("First wash it, then dry it.", "First dry it, then wash it.", "another order of steps"),
        ("The lid fits the jar.", "The lid does not fit the jar.", "negated against not negated"),
        ("Keep MySQL and drop Postgres.", "Keep Postgres and drop MySQL.", "two words exchanged"),
        ("Paris.", "It is Rome.", "another short answer"),
        ("Run `pip install a`.", "Run `pip install b`.", "another name in the same place"),
        ('{"a": 1}', '{"a": 2}', "another value of a key"),
    ],
)
def test_the_reason_says_what_contradicts(left: str, right: str, expected: str) -> None:
    assert reason(left, right) == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Das Gerät lädt im Ruhezustand.", "Das Gerät lädt im Ruhezustand nicht."),
        ("L'appareil charge en veille.", "L'appareil ne charge jamais en veille."),
        ("El aparato carga en reposo.", "El aparato no carga en reposo."),
        ("Il dispositivo carica in standby.", "Il dispositivo non carica in standby."),
        ("O aparelho carrega em repouso.", "O aparelho não carrega em repouso."),
        ("Het toestel laadt in de slaapstand.", "Het toestel laadt niet in de slaapstand."),
        ("Устройство заряжается во сне.", "Устройство не заряжается во сне."),
        ("Urządzenie ładuje się w uśpieniu.", "Urządzenie nie ładuje się w uśpieniu."),
        ("Cihaz uyku modunda destekleniyor.", "Cihaz uyku modunda desteklenmiyor."),
        ("设备在睡眠模式下充电。", "设备在睡眠模式下不充电。"),
        ("この機器はスリープ中に充電します。", "この機器はスリープ中に充電しません。"),
        ("기기는 절전 모드에서 충전됩니다.", "기기는 절전 모드에서 충전되지 않습니다."),
        ("डिवाइस स्लीप मोड में चार्ज होता है।", "डिवाइस स्लीप मोड में चार्ज नहीं होता है।"),
        ("يشحن الجهاز في وضع السكون.", "لا يشحن الجهاز في وضع السكون."),
    ],
)
def test_a_negated_clause_contradicts_in_every_known_language(left: str, right: str) -> None:
    assert reason(left, right) == "negated against not negated"


def test_every_opposite_is_vetoed() -> None:
    assert [pair for pair in OPPOSITES if agree(pair[1], pair[2])] == []


def test_nearly_every_rewording_passes() -> None:
    vetoed = [(reason(left, right), left, right) for _, left, right in REWORDINGS if not agree(left, right)]
    assert len(REWORDINGS) == 144
    assert len(vetoed) <= 4, vetoed


def test_opposites_and_rewordings_that_share_few_words_are_mostly_told_apart() -> None:
    """Quantities ("both" against "one", "only administrators" against "all users") are not compared."""
    missed = [pair for pair in answer_pairs_loose.OPPOSITES if agree(*pair)]
    assert len(missed) <= 3, missed
    vetoed = [pair for pair in answer_pairs_loose.REWORDINGS if not agree(*pair)]
    assert vetoed == []


@given(RESPONSES, RESPONSES)
def test_agreement_is_the_same_in_both_orders_and_a_text_agrees_with_itself(left: str, right: str) -> None:
    assert agree(left, right) == agree(right, left)
    assert agree(left, left)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_two_texts_can_be_compared_in_both_orders(left: str, right: str) -> None:
    assert agree(left, right) == agree(right, left)
    assert agree(left, left)


@given(st.lists(st.sampled_from(SENTENCES + ELSEWHERE), min_size=1, max_size=4), st.sampled_from(SENTENCES))
def test_a_contradiction_is_symmetric_and_a_text_never_contradicts_itself(some: list[str], other: str) -> None:
    text = " ".join(some)
    assert agree(text, text)
    assert agree(text, other) == agree(other, text)


@given(st.sampled_from(SENTENCES), st.lists(st.sampled_from(ELSEWHERE), min_size=1, max_size=3, unique=True))
def test_a_sentence_about_something_else_is_no_contradiction(text: str, added: list[str]) -> None:
    assert reason(text, f"{text} {' '.join(added)}") is None


@given(st.sampled_from(REWORDINGS), st.sampled_from(ELSEWHERE))
def test_a_rewording_stays_one_with_a_sentence_about_something_else(pair: tuple[str, str, str], added: str) -> None:
    _, left, right = pair
    if agree(left, right):
        assert reason(left, f"{right} {added}") is None
