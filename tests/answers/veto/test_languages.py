"""Which languages the veto knows."""

import pytest

from cachewarm_pipeline.answers.veto.languages import known_language
from tests.answers.veto import answer_pairs, answer_pairs_held_out


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "Paris.",
        "{}",
        "The handler reads the request, checks the signature and writes the row.",
        "Der Schlüssel liegt im Tresor und wird jeden Monat gewechselt.",
        "Vous pouvez annuler la commande dans les deux jours.",
        "El plan básico incluye soporte telefónico de lunes a viernes.",
        "La prenotazione può essere cancellata fino al giorno prima.",
        "O aparelho não carrega quando está em repouso.",
        "Het toestel laadt niet als de stekker uit het stopcontact is.",
        "Этот файл можно удалить после установки программы.",
        "Bilet można zwrócić w kasie przed odjazdem pociągu.",
        "Bu dosya güvenle silinir ve bir daha gerekli olmaz.",
        "डिवाइस स्लीप मोड में चार्ज होता है।",
        "يمكنك إلغاء الطلب قبل الشحن من خلال الإعدادات.",
        "安装后可以更改用户名。",
        "削除したファイルは復元できます。",
        "기기는 절전 모드에서 충전됩니다.",
    ],
)
def test_texts_of_languages_with_listed_negations_are_known(text: str) -> None:
    assert known_language(text)


@pytest.mark.parametrize(
    "text",
    [
        "Du kan inte avbryta beställningen efter att den har skickats.",
        "Du kan ikke annullere ordren, og det er ikke muligt at få pengene til.",
        "Tilausta ei voi perua sen jälkeen kun se on lähetetty.",
        "Objednávku nelze zrušit, protože je již na cestě a není možné ji vrátit.",
        "Nu puteți anula comanda după ce a fost expediată și nu este posibil.",
        "A rendelést nem lehet törölni, ha már elküldték, és ez nem változik.",
        "Bạn không thể hủy đơn hàng sau khi đã gửi.",
        "Pesanan tidak bisa dibatalkan setelah dikirim dan ini tidak akan berubah.",
        "Δεν μπορείτε να ακυρώσετε την παραγγελία.",
        "לא ניתן לבטל את ההזמנה לאחר המשלוח.",
        "คุณไม่สามารถยกเลิกคำสั่งซื้อได้",
        "Замовлення не можна скасувати після того, як його відправлено.",
        "شما نمی‌توانید سفارش را پس از ارسال لغو کنید.",
        "zxqv plomt grabn wertz kliop mnatr",
    ],
)
def test_texts_of_other_languages_are_unknown(text: str) -> None:
    assert not known_language(text)


def test_the_answer_pairs_are_in_known_languages() -> None:
    pairs = answer_pairs.OPPOSITES + answer_pairs_held_out.OPPOSITES
    texts = [text for _, left, right, _ in pairs for text in (left, right) if text[0] != "{"]
    assert [text for text in texts if not known_language(text)] == []
